/** The uploads of one field, whatever its markup: from what is given to it to what its form waits for. */
import type { Client, CommittedFile, Queue, Slot, Upload } from "../types.js";
/** An upload on the page. */
export interface View {
    /** Shows the upload as it is now. */
    update(): void;
    /** Takes it off the page. */
    remove(): void;
}
/** What is around the uploads. */
export interface Host<Shown extends View> {
    show(upload: Upload): Shown;
    /** The list is another, or `upload` has a new state. */
    changed(upload: Upload | null): void;
    /** Bytes have moved. */
    moved(): void;
    /** Whether uploads begin by themselves, as the page says: anything but `"false"`; nothing: as the slot says. */
    auto(): string | null | undefined;
    /** The slot is known; what was given before is about to be added. */
    ready(slot: Slot): void;
    trouble(error: unknown): void;
}
/** `target` fires the events of the uploads. */
export declare class Intake<Shown extends View> {
    #private;
    readonly target: EventTarget & {
        disabled: boolean;
    };
    readonly host: Host<Shown>;
    readonly views: Map<Upload, Shown>;
    /** Null until the slot is known. */
    queue: Queue | null;
    slot: Slot | null;
    constructor(target: EventTarget & {
        disabled: boolean;
    }, host: Host<Shown>);
    /** In the order they were given. */
    get uploads(): Upload[];
    /** The committed files, oldest first. */
    get files(): CommittedFile[];
    /** Whether more files may yet be committed. */
    get coming(): boolean;
    /** Asks for the slot, and uploads to it; where it does so already, it goes on. */
    open(client: Client, name: string, ref: string | undefined): void;
    /** Drops every upload; what was given too early is kept for the next slot. */
    close(): void;
    /** Drops everything. */
    clear(): void;
    /** Uploads files, as soon as it is known where to. A slot for one takes the last of several, as a dialog would have. */
    add(files: Iterable<File>): Upload[];
    drop(upload: Upload): void;
    /** What a submission has to wait for: whether all went well. */
    pending(): Promise<boolean> | null;
}
