import type { Problem } from "./errors.js";
import type { Transport } from "./transport.js";
/** A bearer token, or a function that gets one; it is called again, once, when a token is refused. */
export type Token = string | (() => string | Promise<string>);
/** A slot's policy, for the UI. Sizes in bytes. */
export interface Slot {
    name: string;
    /** Extensions, MIME types, wildcards; empty: any bytes. */
    accept: string[];
    max_file_size: number;
    max_entries: number;
    on_full: "reject" | "replace";
    auto_upload: boolean;
    /** Bytes per owner; absent or null: no bound. */
    quota?: number | null;
    /** What the caller has used of it, for the null ref. */
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
/** One page of files, newest first. */
export interface FilePage {
    files: CommittedFile[];
    /** For the next page; null on the last. */
    next_cursor: string | null;
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
/** How to fill a ticket. */
export type Transfer = ({
    kind: "put";
} & SignedPut) | {
    kind: "multipart";
    part_size: number;
    part_count: number;
    parts: SignedPart[];
    expires_in: number;
};
/** Permission for one object. */
export interface Ticket {
    id: string;
    slot: string;
    state: "open" | "committed" | "rejected" | "expired" | "cancelled";
    transfer?: Transfer;
    file?: CommittedFile;
    problem?: Problem;
}
/** What is asked of one call. */
export interface CallOptions {
    body?: unknown;
    headers?: Record<string, string>;
    signal?: AbortSignal | undefined;
    keepalive?: boolean;
    /** Not repeated when it fails: a courtesy nobody should wait for. */
    once?: boolean;
}
/** A 2xx answer of the API. */
export interface Success {
    status: number;
    body: unknown;
    retryAfter: number | null;
}
/** The broker's API: one authenticated, persistent call. */
export declare class Api {
    #private;
    readonly transport: Transport;
    constructor(endpoint: string, token: Token, transport: Transport);
    /** Calls `path`; throws a `PutgateError` for anything but 2xx, or what the token getter threw. */
    call(method: string, path: string, options?: CallOptions): Promise<Success>;
}
/** The JSON object that the API documents, or `bad-answer`. The shape within is the API's promise. */
export declare function objectOf<T>(answer: Success): T;
