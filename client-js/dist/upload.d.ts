import { PutgateError } from "./errors.js";
import { Lanes } from "./lanes.js";
import type { Desk } from "./run.js";
import type { CommittedFile, Progress, State, Upload, UploadOptions, Waiting } from "./types.js";
/** The end that an error is. */
export declare function endOf({ code }: PutgateError): "rejected" | "failed" | "cancelled";
/** Calls `onProgress` as a listener: what it throws is its own affair. */
export declare function hear(target: EventTarget, { onProgress }: Pick<UploadOptions, "onProgress">): void;
/** An upload: the state around its runs. */
export declare class FileUpload extends EventTarget implements Upload {
    #private;
    readonly id: string;
    readonly file: Blob;
    readonly name: string;
    readonly size: number;
    readonly type: string;
    readonly slot: string;
    readonly ref: string | undefined;
    result: CommittedFile | null;
    error: PutgateError | null;
    progress: Progress;
    done: Promise<CommittedFile>;
    /** `turns` is the queue's; null: it is always this upload's turn. */
    constructor(desk: Desk, file: Blob, options: UploadOptions, turns: Lanes | null, lanes: Lanes);
    get state(): State;
    get waitingFor(): Waiting | null;
    get paused(): boolean;
    get ended(): boolean;
    get ticket(): string | null;
    start(): void;
    pause(): void;
    resume(): void;
    cancel(): void;
    /** Ends it before it began, for a reason known without asking. */
    refuse(error: PutgateError): void;
    retry(): Promise<CommittedFile>;
}
