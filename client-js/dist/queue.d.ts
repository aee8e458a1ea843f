import type { Desk } from "./run.js";
import type { Progress, Queue, QueueOptions, Upload, UploadOptions } from "./types.js";
import { FileUpload } from "./upload.js";
/** Uploads that take their turns. */
export declare class FileQueue extends EventTarget implements Queue {
    #private;
    items: readonly FileUpload[];
    progress: Progress;
    constructor(desk: Desk, files: Iterable<Blob>, options: QueueOptions);
    get paused(): boolean;
    get oneByOne(): boolean;
    set oneByOne(oneByOne: boolean);
    get done(): Promise<readonly Upload[]>;
    add(files: Iterable<Blob>, options?: Pick<UploadOptions, "ref" | "metadata" | "name" | "checksum">): Upload[];
    remove(upload: Upload): void;
    start(): void;
    pause(): void;
    resume(): void;
    cancel(): void;
    retry(): void;
}
