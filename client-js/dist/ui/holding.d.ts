/** A form that is submitted while uploads are under way waits for them, and goes on by itself. */
export declare class Holding {
    #private;
    readonly form: HTMLFormElement;
    /**
     * `pending` answers null when nothing is under way, or a promise of whether all went well.
     * `onHold` is called when a submission begins to wait.
     */
    constructor(form: HTMLFormElement, pending: () => Promise<boolean> | null, onHold: () => void);
    release(): void;
}
