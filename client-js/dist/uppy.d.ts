/** The verdict in Uppy: its own S3 uploader never asks for it after a single upload. Uppy is the app's. */
/** As much of Uppy, 5.x or 6.x, as is needed here. */
export interface UppyLike {
    addPostProcessor(step: (ids: string[]) => Promise<void>): void;
    removePostProcessor(step: (ids: string[]) => Promise<void>): void;
    getFile(id: string): any;
    setFileState(id: string, state: any): void;
    getPlugin(id: string): any;
    emit: (...args: any[]) => any;
}
/** What differs between apps. Without it, everything is taken from Uppy's own `AwsS3` plugin. */
export interface VerdictOptions {
    /** `…/u/{slot}/{token}`. Default: the plugin's `companionEndpoint` or `endpoint`. */
    endpoint?: string;
    /** Default: the plugin's `headers`. */
    headers?: Record<string, string>;
    /** What Uppy shows meanwhile. Default: "Verifying…". */
    message?: string;
}
/**
 * Lets every upload of Uppy end with its verdict: a file that was rejected fails with the reason, and a committed
 * one has the broker's ticket in its state as `putgate`. One whose verdict cannot be had stays as it is: it has been
 * sent, and the broker judges it without us. Answers a function that takes this off again.
 */
export declare function verdicts(uppy: UppyLike, options?: VerdictOptions): () => void;
