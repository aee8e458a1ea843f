import { cancelled } from "./errors.js";
/** Requests at a time before anything is measured. */
export const FIRST = 4;
/**
 * Browsers open six HTTP/1.1 connections a host: a request that waits for a seventh ages its URL and
 * looks stalled. One is left for the broker, which may be the same host.
 */
export const MOST = 5;
/** So many at a time; the rest wait in line. */
export class Lanes {
    #limit;
    #line = [];
    #busy = 0;
    constructor(limit) {
        this.#limit = limit;
    }
    get limit() {
        return this.#limit;
    }
    set limit(limit) {
        this.#limit = limit;
        this.#advance();
    }
    /** A lane, once one is free; answers what leaves it. Throws `cancelled` when aborted. */
    async enter(signal) {
        if (signal.aborted)
            throw cancelled();
        if (this.#busy < this.#limit)
            this.#busy += 1;
        else
            await this.#stand(signal);
        let left = false;
        return (passed) => {
            if (left)
                return;
            left = true;
            if (passed)
                this.learn(passed);
            this.#busy -= 1;
            this.#advance();
        };
    }
    /** Hook of `AdaptiveLanes`. */
    learn(_passed) { }
    get full() {
        return this.#busy >= this.#limit;
    }
    #stand(signal) {
        return new Promise((resolve, reject) => {
            const go = () => {
                signal.removeEventListener("abort", leave);
                resolve();
            };
            const leave = () => {
                this.#line.splice(this.#line.indexOf(go), 1);
                reject(cancelled());
            };
            signal.addEventListener("abort", leave, { once: true });
            this.#line.push(go);
        });
    }
    #advance() {
        while (this.#busy < this.#limit) {
            const go = this.#line.shift();
            if (!go)
                return;
            this.#busy += 1;
            go();
        }
    }
}
/**
 * Lanes that look for the number with the best throughput: one more for as long as that brings a
 * tenth, then back by one; half of them after trouble.
 */
export class AdaptiveLanes extends Lanes {
    #bytes = 0;
    #count = 0;
    #since = null;
    /** Bytes a millisecond with one lane fewer; 0: not measured. */
    #rate = 0;
    /** Whether the number is found. */
    #settled = false;
    constructor() {
        super(FIRST);
    }
    learn({ bytes, trouble, now }) {
        if (trouble) {
            this.#begin(null);
            this.#rate = 0;
            this.#settled = false;
            this.limit = Math.ceil(this.limit / 2);
            return;
        }
        // Only full lanes tell what their number is worth.
        if (!this.full)
            return this.#begin(null);
        if (this.#since === null)
            return this.#begin(now);
        this.#bytes += bytes;
        this.#count += 1;
        if (this.#settled || this.#count < 2 * this.limit || now === this.#since)
            return;
        const rate = this.#bytes / (now - this.#since);
        const better = rate > this.#rate * 1.1;
        this.#settled = !better || this.limit === MOST;
        this.#rate = rate;
        if (!better)
            this.limit -= 1;
        else if (this.limit < MOST)
            this.limit += 1;
        this.#begin(now);
    }
    #begin(now) {
        this.#since = now;
        this.#bytes = 0;
        this.#count = 0;
    }
}
//# sourceMappingURL=lanes.js.map