import type { Answer, Transport } from "./transport.js";
/** How often one request is tried in all: with the waits between them about half a minute. */
export declare const TRIES = 8;
/** Seconds; a server that asks for more patience than this is taken at its word: we give up. */
export declare const MAX_WAIT = 60;
/** Milliseconds without a byte after which a request is dropped. */
export declare const STALL = 30000;
/** The same once all bytes are handed to the network: they may still lie in its buffers. */
export declare const LAST_STALL = 120000;
/** Milliseconds that one call of the API may take; the longest asks the server to wait for 20 s. */
export declare const CALL_STALL = 60000;
/** Milliseconds after which a network that is said to be gone is tried all the same. */
export declare const OFFLINE = 60000;
/** Whom a request is for: the broker, or storage. */
export type Leg = "api" | "storage";
/** What has happened to a request so far. */
export interface History {
    /** Tries that were answered, the last one included. */
    tries: number;
    /** Whether it already had a new token, or a new URL. */
    renewed: boolean;
    /** Whether the browser says there is a network. */
    online: boolean;
    /** 0 ≤ x < 1 */
    random: number;
}
/** What to do about an answer. `take`: it stands, good or bad; a number: the same again after so many milliseconds. */
export type Step = "take" | "renew" | "online" | number;
/**
 * The one retry matrix, for every request of the client.
 *
 * | answer | broker | storage |
 * |---|---|---|
 * | 2xx | take | take |
 * | none, and the browser is offline | wait for the network; costs no try | the same |
 * | none: network, stall, an abort nobody asked for | wait, again | the same |
 * | 408, 425, 429, 5xx | wait, again | the same |
 * | 400 `RequestTimeout` | take | wait, again: S3's word for a stalled body |
 * | 429 `too-many-open-tickets`, 507 | take: a limit, not a crowd | take |
 * | `Retry-After` above 60 s | take | take |
 * | 401 | a new token, once | take |
 * | 403 | take | a new URL, once |
 * | anything else | take | take |
 */
export declare function next(leg: Leg, answer: Answer, { tries, renewed, online, random }: History): Step;
/** Whether the same request may do better later. */
export declare function isTransient({ status, text }: Answer): boolean;
/** Milliseconds before try number `tries` + 1: 0.5, 1, 2 … 20 s with half jitter, and no less than the server asked for. */
export declare function backoff(tries: number, retryAfter: number | null, random: number): number;
/** One request, told as often as it takes. */
export interface Request {
    leg: Leg;
    signal: AbortSignal;
    send: () => Promise<Answer>;
    /** Gets a new token or URL; absent: there is none to get. */
    renew?: (() => void) | undefined;
    /** Hears when the request begins and ceases to wait for the network. */
    offline?: ((waiting: boolean) => void) | undefined;
}
/** Sends until an answer stands. Throws `cancelled` when the signal is aborted, and what `send` or `renew` throw. */
export declare function persist(transport: Transport, { leg, signal, send, renew, offline }: Request): Promise<Answer>;
/** A controller that aborts with `outer`, until it is unlinked. */
export declare function linked(outer: AbortSignal): {
    signal: AbortSignal;
    abort: () => void;
    unlink: () => void;
};
/** Waits; ends early, without throwing, when the signal is aborted or `also` wakes. */
export declare function sleep(transport: Transport, milliseconds: number, signal: AbortSignal, also?: (wake: () => void) => () => void): Promise<void>;
/**
 * One request that is dropped when `patience` milliseconds pass without a sign of life; each
 * sign says how much patience the next may take. Gone like this it is an answer with status 0.
 */
export declare function watched(transport: Transport, signal: AbortSignal, patience: number, send: (signal: AbortSignal, alive: (patience: number) => void) => Promise<Answer>): Promise<Answer>;
