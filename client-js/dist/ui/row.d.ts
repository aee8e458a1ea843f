/** One upload on the page. */
import type { Upload } from "../types.js";
import type { Strings } from "./strings.js";
type Action = "cancel" | "pause" | "resume" | "retry" | "remove";
/** What a person can do with an upload in its present state. */
export declare function actionsFor(upload: Upload): Action[];
/** An element with a class, which is also its `part`. */
export declare function make<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, name: string, text?: string): HTMLElementTagNameMap[Tag];
/** A progress bar for those who see it and for those who hear it. */
export declare class Bar {
    #private;
    readonly element: HTMLDivElement;
    constructor(label: string);
    show(percent: number): void;
}
/** The row of an upload. */
export declare class Row {
    #private;
    readonly upload: Upload;
    readonly say: Strings;
    readonly act: (action: Action, row: Row) => void;
    readonly element: HTMLLIElement;
    constructor(upload: Upload, say: Strings, act: (action: Action, row: Row) => void);
    /** Shows the upload as it is now. */
    update(): void;
    focus(): void;
    /** Takes it off the page. */
    remove(): void;
}
export {};
