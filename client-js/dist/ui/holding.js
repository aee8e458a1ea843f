/** A form that is submitted while uploads are under way waits for them, and goes on by itself. */
export class Holding {
    form;
    #held = false;
    #onSubmit;
    /**
     * `pending` answers null when nothing is under way, or a promise of whether all went well.
     * `onHold` is called when a submission begins to wait.
     */
    constructor(form, pending, onHold) {
        this.form = form;
        this.#onSubmit = (event) => {
            const outcome = pending();
            if (outcome === null)
                return;
            event.preventDefault();
            // Nobody else may take this one for the submission itself.
            event.stopImmediatePropagation();
            if (this.#held)
                return;
            this.#held = true;
            onHold();
            const { submitter } = event;
            void outcome.then((well) => {
                this.#held = false;
                if (well)
                    form.requestSubmit(submitter?.isConnected === true ? submitter : null);
            });
        };
        form.addEventListener("submit", this.#onSubmit, { capture: true });
    }
    release() {
        this.form.removeEventListener("submit", this.#onSubmit, { capture: true });
    }
}
//# sourceMappingURL=holding.js.map