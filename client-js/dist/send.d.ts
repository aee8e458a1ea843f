import { PutgateError } from "./errors.js";
import type { Lanes } from "./lanes.js";
import type { Transport } from "./transport.js";
import type { SignedPut } from "./types.js";
/** A presigned request and the time (ms) until which it may be used. */
export interface Signed extends SignedPut {
    good: number;
}
/** One body for storage. */
export interface Sending {
    transport: Transport;
    lanes: Lanes;
    body: Blob;
    /** A request that is good now; `refused` is the one that storage answered with 403. */
    sign: (refused: Signed | null) => Promise<Signed>;
    onSent: (bytes: number) => void;
    signal: AbortSignal;
    offline: (waiting: boolean) => void;
}
/** Until when a request may be used that was asked for at `asked`: with time for the way to the store. */
export declare function goodUntil(asked: number, expiresIn: number): number;
/**
 * Sends one body to storage, by the matrix of `retry.ts`. What is left after it is an error:
 * `storage-unreachable` when there was no answer or a transient one, `file-changed` when the body
 * cannot be read any more, else `storage-refused`.
 */
export declare function send({ transport, lanes, body, sign, onSent, signal, offline }: Sending): Promise<void>;
/** The error of a file that is not what was chosen. */
export declare function changed(): PutgateError;
