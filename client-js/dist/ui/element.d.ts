import type { Client, CommittedFile, Upload } from "../types.js";
import type { Strings } from "./strings.js";
/** Where there is no DOM (a server that renders), the class can be imported but not used. */
declare const Element: {
    new (): HTMLElement;
    prototype: HTMLElement;
};
/**
 * | attribute | meaning |
 * |---|---|
 * | `upload-slot` | the slot |
 * | `name` | the form field; each committed file's id is a value of it |
 * | `ref` | ties the files to an object of the app |
 * | `endpoint`, `token-url` | the broker, and where a token is had; or those of an element around it, as `data-putgate-…`; or set `client` |
 * | `auto-upload` | `"false"`: uploads begin when the form is submitted, or with the button. Default: as the slot says |
 * | `one-by-one` | one file after another |
 * | `directory` | the dialog picks folders |
 * | `required`, `disabled` | as on any field |
 *
 * Fires `change` when its value changes, and `putgate:upload:progress` for every upload.
 */
export declare class PutgateUpload extends Element {
    #private;
    static readonly formAssociated = true;
    static readonly observedAttributes: string[];
    constructor();
    /** The client, for pages that make their own. */
    get client(): Client | null;
    set client(client: Client | null);
    /** The words; a page gives those that it wants otherwise. */
    get strings(): Strings;
    set strings(own: Partial<Strings>);
    /** The committed files, oldest first. */
    get files(): CommittedFile[];
    /** Their ids. */
    get value(): string[];
    /** The uploads, in the order they were chosen. */
    get uploads(): Upload[];
    get form(): HTMLFormElement | null;
    get name(): string;
    set name(name: string);
    get required(): boolean;
    set required(required: boolean);
    get disabled(): boolean;
    set disabled(disabled: boolean);
    get type(): string;
    get validity(): ValidityState;
    get validationMessage(): string;
    get willValidate(): boolean;
    checkValidity(): boolean;
    reportValidity(): boolean;
    /** Uploads files as if they had been chosen. Answers none while the slot is not known; they are kept until then. */
    add(files: Iterable<File>): Upload[];
    /** Begins what waits for it. */
    start(): void;
    connectedCallback(): void;
    disconnectedCallback(): void;
    attributeChangedCallback(name: string, before: string | null, after: string | null): void;
    formAssociatedCallback(form: HTMLFormElement | null): void;
    formDisabledCallback(disabled: boolean): void;
    formResetCallback(): void;
}
/** Registers the element, once. */
export declare function defineElement(name?: string): void;
declare global {
    interface HTMLElementTagNameMap {
        "putgate-upload": PutgateUpload;
    }
}
export {};
