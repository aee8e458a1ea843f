import type { CommittedFile, FilePage, Slot, Token } from "./api.js";
import type { Transport } from "./transport.js";
import type { UploadOptions } from "./upload.js";
export { PutgateError } from "./errors.js";
export type { Problem } from "./errors.js";
export type { CommittedFile, FilePage, Slot, Token } from "./api.js";
export type { Progress, UploadOptions } from "./upload.js";
export type { Answer, ApiRequest, PutRequest, Transport } from "./transport.js";
/** Where the broker is and who calls. */
export interface ClientOptions {
    /** The broker's URL, with its path if it has one; `""`: this page's origin. */
    endpoint: string;
    token: Token;
    /** For tests; default: the browser's. */
    transport?: Transport;
}
/** Which files to list. */
export interface FileQuery {
    slot?: string;
    ref?: string;
    cursor?: string;
    /** Files a page. */
    limit?: number;
}
/** A broker, as one user sees it. Every method throws `PutgateError`, or what the token getter threw. */
export interface Client {
    /** Uploads one file; resolves when it is committed. */
    upload(file: Blob, options: UploadOptions): Promise<CommittedFile>;
    /** The slots that the token may use. */
    slots(): Promise<Slot[]>;
    slot(name: string): Promise<Slot>;
    /** Committed files, newest first. */
    files(query?: FileQuery): Promise<FilePage>;
    /** One file, with a fresh `url`. */
    file(id: string): Promise<CommittedFile>;
    deleteFile(id: string): Promise<void>;
}
/** A client of the broker at `endpoint`. */
export declare function createClient({ endpoint, token, transport }: ClientOptions): Client;
