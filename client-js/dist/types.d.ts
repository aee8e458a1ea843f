/** What the client's users see: the shapes of the API, of an upload and of a queue. */
import type { PutgateError, Problem } from "./errors.js";
import type { Transport } from "./transport.js";
/** A bearer token, or a function that gets one; it is called again, once, when a token is refused. */
export type Token = string | (() => string | Promise<string>);
/** Where the broker is and who calls. */
export interface ClientOptions {
    /** The broker's URL, with its path if it has one; `""`: this page's origin. */
    endpoint: string;
    token: Token;
    /**
     * Requests to storage at a time, over all uploads of the client. Default: begins with 4 and
     * follows the measured throughput, between 1 and 5.
     */
    concurrency?: number;
    /** Whether uploads go on after a reload, and wait for another tab that has the same file. Default: true. */
    resume?: boolean | Memory;
    /** For tests; default: the browser's. */
    transport?: Transport;
}
/** A broker, as one user sees it. Every promise rejects with a `PutgateError`. */
export interface Client {
    /** Uploads one file. */
    upload(file: Blob, options: UploadOptions): Upload;
    /** Uploads many; each succeeds or fails alone. */
    upload(files: Iterable<Blob>, options: QueueOptions): Queue;
    /** A queue without files yet. */
    queue(options: QueueOptions): Queue;
    /** The slots that the token may use. */
    slots(): Promise<Slot[]>;
    /** One slot, with what the caller has used of it for `ref`. Fetched anew. */
    slot(name: string, ref?: string): Promise<Slot>;
    /** Why the slot would not take the file, as far as its policy tells before the bytes are there; null: it may. */
    check(file: Blob, options: {
        slot: string;
        ref?: string;
        name?: string;
    }): Promise<PutgateError | null>;
    /** Committed files, newest first. */
    files(query?: FileQuery): Promise<FilePage>;
    /** One file, with a fresh `url`. */
    file(id: string): Promise<CommittedFile>;
    deleteFile(id: string): Promise<void>;
}
/** How to upload one file. */
export interface UploadOptions {
    slot: string;
    /** Ties the file to an object of the app; must be one of the token's refs. */
    ref?: string;
    /** Kept with the file. */
    metadata?: Record<string, unknown>;
    /** The file's name; default: its own. */
    name?: string;
    /** Hash the file first; storage then refuses any other bytes. Files in parts are not hashed. */
    checksum?: boolean;
    /** Cancels the upload, and its ticket with it. */
    signal?: AbortSignal;
    /** Requests to storage at a time; default: the client's number, shared by all its uploads. */
    concurrency?: number;
    /** False: nothing happens until `start()`. Default: true. */
    autoStart?: boolean;
    onProgress?: (progress: Progress) => void;
}
/** How to upload many. `concurrency` and `onProgress` are of the whole queue; so is `signal`. */
export interface QueueOptions extends Omit<UploadOptions, "name"> {
    /** One file after another, each to its end. Default: several at a time. */
    oneByOne?: boolean;
}
/**
 * Where an upload is.
 *
 * | state | meaning |
 * |---|---|
 * | `waiting` | for its turn, `start()`, `resume()`, the network, or another tab: `waitingFor` says which |
 * | `hashing` | reading the file for its checksum |
 * | `uploading` | bytes move |
 * | `verifying` | all bytes are there; the broker reads what arrived |
 * | `committed` | done: the file exists |
 * | `rejected` | the broker, or the slot's policy, does not want this file; the same file again is of no use |
 * | `failed` | trouble; `retry()` goes on where it stopped |
 * | `cancelled` | by the caller, or by a later pick for a full slot |
 */
export type State = "waiting" | "hashing" | "uploading" | "verifying" | "committed" | "rejected" | "failed" | "cancelled";
/** What a waiting upload waits for. */
export type Waiting = "start" | "turn" | "resume" | "network" | "other-tab";
/** How far an upload, or a whole queue, is. */
export interface Progress {
    /** Bytes. Falls when a request is lost and its bytes must be sent again. */
    loaded: number;
    /** Bytes. */
    total: number;
    /** 0 to 100, whole; 100 only when everything is committed. */
    percent: number;
    /** Bytes a second over the last seconds; null while nothing is measured. */
    speed: number | null;
    /** Seconds until the bytes are sent; null while nothing is measured. */
    timeLeft: number | null;
}
/** The events of an upload; each carries its news as `detail`. */
export interface UploadEvents {
    progress: CustomEvent<Progress>;
    /** A new state, another `waitingFor`, or both. */
    state: CustomEvent<State>;
    /** It is committed. */
    done: CustomEvent<CommittedFile>;
    /** It is rejected, failed or cancelled. */
    error: CustomEvent<PutgateError>;
}
/** One file on its way. */
export interface Upload extends Emitter<UploadEvents> {
    /** Of this page's making, for keys and element ids; not the file's id. */
    readonly id: string;
    readonly file: Blob;
    readonly name: string;
    /** Bytes. */
    readonly size: number;
    /** As the browser declares it; may be empty. */
    readonly type: string;
    readonly slot: string;
    readonly ref: string | undefined;
    readonly state: State;
    /** Null unless `waiting`. */
    readonly waitingFor: Waiting | null;
    readonly paused: boolean;
    /** Whether the state is one of `committed`, `rejected`, `failed`, `cancelled`. */
    readonly ended: boolean;
    readonly progress: Progress;
    /** The ticket's id once there is one; it becomes the file's id. */
    readonly ticket: string | null;
    /** The file, once committed. */
    readonly result: CommittedFile | null;
    /** Why it is rejected, failed or cancelled. */
    readonly error: PutgateError | null;
    /** The outcome of this run; `retry()` begins another. Nobody has to await it. */
    readonly done: Promise<CommittedFile>;
    /** Begins what `autoStart: false` held back. */
    start(): void;
    /** Drops what is on the wire. Sent parts stay sent; a file of one request begins again. Bytes that are all there are verified all the same. */
    pause(): void;
    resume(): void;
    /** Ends it and its ticket. When the commit was faster, the upload is committed all the same. */
    cancel(): void;
    /** Begins again after `failed`, `rejected` or `cancelled`, with the parts that are missing. Answers `done`. */
    retry(): Promise<CommittedFile>;
}
/** The events of a queue. */
export interface QueueEvents {
    /** Of the whole queue. */
    progress: CustomEvent<Progress>;
    /** An upload was added, removed, or changed its state. */
    state: CustomEvent<Upload | null>;
    /** No upload is waiting or under way any more. */
    done: CustomEvent<readonly Upload[]>;
}
/** Many files on their way. One that fails does not stop the others. */
export interface Queue extends Emitter<QueueEvents> {
    /** In the order they were added; a new array at every change. */
    readonly items: readonly Upload[];
    /** Of all that are not rejected, failed or cancelled. */
    readonly progress: Progress;
    readonly paused: boolean;
    /** May be changed at any time; holds for the uploads that have not begun. */
    oneByOne: boolean;
    /** Resolves, with every upload, as soon as all have ended; never rejects. */
    readonly done: Promise<readonly Upload[]>;
    /** `options` differ from the queue's for these files. */
    add(files: Iterable<Blob>, options?: Pick<UploadOptions, "ref" | "metadata" | "name" | "checksum">): Upload[];
    /** Takes an upload off the list, cancelled if it had not ended. */
    remove(upload: Upload): void;
    start(): void;
    pause(): void;
    resume(): void;
    cancel(): void;
    /** Everything that failed, once more. */
    retry(): void;
}
/** An `EventTarget` that knows its events. */
export interface Emitter<Events> extends EventTarget {
    addEventListener<Name extends keyof Events & string>(name: Name, listener: (event: Events[Name]) => void, options?: boolean | AddEventListenerOptions): void;
    addEventListener(name: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
    removeEventListener<Name extends keyof Events & string>(name: Name, listener: (event: Events[Name]) => void, options?: boolean | EventListenerOptions): void;
    removeEventListener(name: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}
/** A slot's policy, for the UI. Sizes in bytes. */
export interface Slot {
    name: string;
    /** Extensions, MIME types, wildcards; empty: any bytes. */
    accept: string[];
    /** Every known extension, and every name of a type, that `accept` lets in. */
    accepted?: {
        extensions: string[];
        types: string[];
    };
    max_file_size: number;
    max_entries: number;
    on_full: "reject" | "replace";
    auto_upload: boolean;
    /** Larger files go in parts of this size, or of more; null: never. */
    part_size?: number | null;
    /** Bytes per owner; absent or null: no bound. */
    quota?: number | null;
    /** What the caller has used of it, for the ref that was asked for. */
    usage: {
        open_tickets: number;
        files: number;
        reserved_bytes: number;
        stored_bytes: number;
    };
    [member: string]: unknown;
}
/** A committed upload. */
export interface CommittedFile {
    id: string;
    slot: string;
    ref: string | null;
    owner: string;
    key: string;
    name: string;
    /** Bytes. */
    size: number;
    /** The detected type. */
    type: string;
    etag: string;
    sha256?: string;
    width?: number;
    height?: number;
    metadata: Record<string, unknown>;
    /** RFC 3339. */
    committed_at: string;
    claimed_at?: string;
    /** A presigned download, good for `url_expires_in` seconds. */
    url: string;
    url_expires_in: number;
}
/** Which files to list. */
export interface FileQuery {
    slot?: string;
    ref?: string;
    cursor?: string;
    /** Files a page. */
    limit?: number;
}
/** One page of files, newest first. */
export interface FilePage {
    files: CommittedFile[];
    /** For the next page; null on the last. */
    next_cursor: string | null;
}
/** Remembers uploads across reloads, and keeps tabs from fighting. */
export interface Memory {
    /**
     * Runs `work` with what is remembered of the file, while no other tab works on it. Rejects with
     * what `work` rejects with, or when `signal` is aborted before it began; never for trouble of
     * its own, which only makes the place empty.
     */
    around<T>(errand: Errand, work: (place: Place) => Promise<T>): Promise<T>;
}
/** A file, and what tells its upload from others of the same file. */
export interface Errand {
    file: Blob;
    about: readonly unknown[];
    signal: AbortSignal;
    /** Called when it has to wait for another tab. */
    onWait: () => void;
}
/** Where a file is remembered. */
export interface Place {
    /** The ticket it was going to; null: none is known. */
    readonly ticket: string | null;
    /** Whether the ticket's outcome is ours too: it ended in another tab while we waited for that. */
    readonly ours: boolean;
    /** Remembers the ticket for as long as it lives. */
    keep(ticket: Ticket): void;
    /** Leaves word that the ticket is done with, for a tab that waits. */
    end(ticket: string): Promise<void>;
}
/** One presigned request. */
export interface SignedPut {
    method: string;
    url: string;
    headers: Record<string, string>;
    /** Seconds. */
    expires_in: number;
}
/** One presigned part. */
export interface SignedPart {
    number: number;
    size: number;
    url: string;
    headers: Record<string, string>;
}
/** Parts of one size, the last one smaller. */
export interface Plan {
    kind: "multipart";
    part_size: number;
    part_count: number;
    parts: SignedPart[];
    expires_in: number;
}
/** How to fill a ticket. */
export type Transfer = ({
    kind: "put";
} & SignedPut) | Plan;
/** Permission for one object. */
export interface Ticket {
    id: string;
    slot: string;
    state: "open" | "committed" | "rejected" | "expired" | "cancelled";
    size?: number;
    /** RFC 3339. */
    expires_at?: string;
    transfer?: Transfer;
    file?: CommittedFile;
    problem?: Problem;
}
