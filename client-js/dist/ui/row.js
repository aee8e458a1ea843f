import { fill } from "./strings.js";
import { bytes, status } from "./words.js";
/** Larger pictures are not decoded for a thumbnail: phones have little memory. */
const LARGEST_THUMB = 30_000_000;
/** What a person can do with an upload in its present state. */
export function actionsFor(upload) {
    switch (upload.state) {
        case "waiting":
            return upload.paused ? ["resume", "cancel"] : ["cancel"];
        case "hashing":
        case "verifying":
            return ["cancel"];
        case "uploading":
            return ["pause", "cancel"];
        case "committed":
        case "rejected":
            return ["remove"];
        case "failed":
        case "cancelled":
            return ["retry", "remove"];
    }
}
/** An element with a class, which is also its `part`. */
export function make(tag, name, text = "") {
    const element = document.createElement(tag);
    element.className = name;
    element.setAttribute("part", name);
    if (text !== "")
        element.textContent = text;
    return element;
}
/** A progress bar for those who see it and for those who hear it. */
export class Bar {
    element = make("div", "bar");
    #fill = make("div", "fill");
    constructor(label) {
        this.element.setAttribute("role", "progressbar");
        this.element.setAttribute("aria-valuemin", "0");
        this.element.setAttribute("aria-valuemax", "100");
        this.element.setAttribute("aria-label", label);
        this.element.append(this.#fill);
        this.show(0);
    }
    show(percent) {
        this.element.setAttribute("aria-valuenow", String(percent));
        this.#fill.style.inlineSize = `${percent}%`;
    }
}
/** The row of an upload. */
export class Row {
    upload;
    say;
    act;
    element = make("li", "item");
    #thumb = make("div", "thumb");
    #status = make("p", "status");
    #actions = make("div", "actions");
    #bar;
    #shown = "";
    #picture = null;
    constructor(upload, say, act) {
        this.upload = upload;
        this.say = say;
        this.act = act;
        const { name, size, file } = upload;
        this.#bar = new Bar(fill(say.progressOf, { name }));
        const line = make("div", "line");
        const called = make("span", "name", name);
        called.dir = "auto";
        called.title = name;
        line.append(called, make("span", "size", bytes(size)));
        this.#thumb.setAttribute("aria-hidden", "true");
        this.#thumb.textContent = (/\.([a-z0-9]{1,5})$/i.exec(name)?.[1] ?? "file").toUpperCase();
        this.element.append(this.#thumb, line, this.#bar.element, this.#status, this.#actions);
        if (file.type.startsWith("image/") && size <= LARGEST_THUMB)
            this.#preview(file);
        this.update();
    }
    /** Shows the upload as it is now. */
    update() {
        const { upload, say } = this;
        this.element.dataset["state"] = upload.state;
        this.#bar.show(upload.progress.percent);
        this.#status.textContent = status(upload, say);
        const actions = actionsFor(upload);
        if (this.#shown === actions.join())
            return;
        this.#shown = actions.join();
        const focused = this.#actions.contains(this.element.getRootNode().activeElement);
        this.#actions.replaceChildren(...actions.map((action) => {
            const button = make("button", "small", say[action]);
            button.type = "button";
            button.setAttribute("part", `button ${action}`);
            button.setAttribute("aria-label", fill(say.actionOf, { action: say[action], name: upload.name }));
            button.addEventListener("click", () => this.act(action, this));
            return button;
        }));
        // A button that gives way to another must not drop the focus of who just pressed it.
        if (focused)
            this.focus();
    }
    focus() {
        this.#actions.querySelector("button")?.focus();
    }
    /** Takes it off the page. */
    remove() {
        if (this.#picture !== null)
            URL.revokeObjectURL(this.#picture);
        this.element.remove();
    }
    #preview(file) {
        const image = new Image();
        const url = URL.createObjectURL(file);
        this.#picture = url;
        image.alt = "";
        image.decoding = "async";
        // The badge stays where the browser cannot show the picture.
        image.addEventListener("load", () => this.#thumb.replaceChildren(image));
        image.src = url;
    }
}
//# sourceMappingURL=row.js.map