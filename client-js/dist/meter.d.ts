import type { Progress } from "./types.js";
/** Turns "so many bytes by now" into speed and time left. */
export declare class Meter {
    #private;
    /** The progress at `now`; `done`: everything is committed. */
    read(now: number, loaded: number, total: number, done: boolean): Progress;
    /** Forgets what was measured: nothing moves on purpose. */
    reset(): void;
}
