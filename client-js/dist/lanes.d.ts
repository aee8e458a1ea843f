/** Requests at a time before anything is measured. */
export declare const FIRST = 4;
/**
 * Browsers open six HTTP/1.1 connections a host: a request that waits for a seventh ages its URL and
 * looks stalled. One is left for the broker, which may be the same host.
 */
export declare const MOST = 5;
/** What came of a request that leaves its lane. */
export interface Passed {
    /** That arrived. */
    bytes: number;
    /** Whether it met trouble: no answer, or one that says "slower". */
    trouble: boolean;
    /** Milliseconds since the epoch. */
    now: number;
}
/** So many at a time; the rest wait in line. */
export declare class Lanes {
    #private;
    constructor(limit: number);
    get limit(): number;
    set limit(limit: number);
    /** A lane, once one is free; answers what leaves it. Throws `cancelled` when aborted. */
    enter(signal: AbortSignal): Promise<(passed?: Passed) => void>;
    /** Hook of `AdaptiveLanes`. */
    protected learn(_passed: Passed): void;
    get full(): boolean;
}
/**
 * Lanes that look for the number with the best throughput: one more for as long as that brings a
 * tenth, then back by one; half of them after trouble.
 */
export declare class AdaptiveLanes extends Lanes {
    #private;
    constructor();
    protected learn({ bytes, trouble, now }: Passed): void;
}
