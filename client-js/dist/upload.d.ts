import type { Api, CommittedFile } from "./api.js";
/** Where an upload is. `loaded` reaches `total` only when the file is committed. */
export interface Progress {
    phase: "hashing" | "uploading" | "verifying";
    /** Bytes. */
    loaded: number;
    /** Bytes. */
    total: number;
}
/** How to upload one file. */
export interface UploadOptions {
    slot: string;
    /** Ties the file to an object of the app. */
    ref?: string;
    metadata?: Record<string, unknown>;
    /** The file's name; default: its own. */
    name?: string;
    /** Hash the file first; storage then refuses any other bytes (files of one PUT only). */
    checksum?: boolean;
    onProgress?: (progress: Progress) => void;
    /** Cancels the upload, and its ticket with it. */
    signal?: AbortSignal;
}
/**
 * Uploads one file; resolves when it is committed.
 *
 * After an abort nothing is left behind: the ticket is cancelled too. When the broker was
 * faster and has committed, the file exists, and the promise says so by resolving with it.
 *
 * After a failure of the network the ticket stays open, until its time is over; another
 * upload of the same `File` with the same options goes on with it.
 */
export declare function upload(api: Api, file: Blob, options: UploadOptions): Promise<CommittedFile>;
