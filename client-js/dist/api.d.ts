import type { Transport } from "./transport.js";
import type { Token } from "./types.js";
/** What is asked of one call. */
export interface CallOptions {
    body?: unknown;
    headers?: Record<string, string>;
    signal?: AbortSignal | undefined;
    keepalive?: boolean;
    /** Not repeated when it fails: a courtesy nobody should wait for. */
    once?: boolean;
    offline?: ((waiting: boolean) => void) | undefined;
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
    readonly endpoint: string;
    constructor(endpoint: string, token: Token, transport: Transport);
    /** Calls `path`; throws a `PutgateError` for anything but 2xx. */
    call(method: string, path: string, options?: CallOptions): Promise<Success>;
}
/** The JSON object that the API documents, or `bad-answer`. The shape within is the API's promise. */
export declare function objectOf<T>(answer: Success): T;
/** Who calls for an upload: what ends the call, and who hears that it waits for the network. */
export interface Caller {
    desk: {
        api: Api;
    };
    signal: AbortSignal;
    offline: (waiting: boolean) => void;
}
/** The answer of a call about a ticket. */
export declare function ask<T>(caller: Caller, id: string, method: string, verb: string, options?: CallOptions): Promise<T>;
