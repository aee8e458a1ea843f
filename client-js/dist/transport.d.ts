/** A call of the broker's API. */
export interface ApiRequest {
    method: string;
    url: string;
    headers: Record<string, string>;
    body?: string;
    signal: AbortSignal;
    /** Lets the call outlive the page: a cancel sent while the tab closes. */
    keepalive?: boolean;
}
/** Bytes for storage. */
export interface PutRequest {
    method: string;
    url: string;
    headers: Record<string, string>;
    body: Blob;
    signal: AbortSignal;
    /** Bytes handed to the network so far. */
    onSent: (sent: number) => void;
}
/** An answer; status 0: there was none, or the browser hides it. */
export interface Answer {
    status: number;
    text: string;
    /** Seconds, from `Retry-After`; null when absent. */
    retryAfter: number | null;
}
/**
 * What the client needs of its surroundings. Tests put their own in its place.
 * Neither `call` nor `put` throws: what did not arrive is an answer with status 0.
 */
export interface Transport {
    call(request: ApiRequest): Promise<Answer>;
    put(request: PutRequest): Promise<Answer>;
    /** Runs `ring` once after so many milliseconds, unless the answered function is called before. */
    after(milliseconds: number, ring: () => void): () => void;
    /** Milliseconds since the epoch. */
    now(): number;
    /** 0 ≤ x < 1, for jitter. */
    random(): number;
    /** False when the browser knows that there is no network. */
    online(): boolean;
    /** Calls `listener` when the network may be back, until the answered function is called. */
    onOnline(listener: () => void): () => void;
}
/** The browser: `fetch` for the API, `XMLHttpRequest` for bytes (fetch tells no upload progress). */
export declare const browser: Transport;
/** `Retry-After` in seconds: a number or an HTTP date (RFC 9110 §10.2.3); null when it is neither. */
export declare function seconds(header: string | null, now: number): number | null;
