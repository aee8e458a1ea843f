import type { Client, Queue } from "../types.js";
import type { Strings } from "./strings.js";
/** For pages that make their own client or speak another language. */
export interface BindOptions {
    client?: Client;
    strings?: Partial<Strings>;
}
/** A file input that uploads. */
export interface Binding {
    readonly input: HTMLInputElement;
    /** Null until the slot is known. */
    readonly queue: Queue | null;
    /** Takes everything off again. */
    release(): void;
}
/** Binds every input under `root` that is not bound yet. */
export declare function bindUploads(root?: ParentNode, options?: BindOptions): Binding[];
