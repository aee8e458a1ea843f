import type { Caller } from "./api.js";
import type { Lanes } from "./lanes.js";
import type { Plan, Ticket } from "./types.js";
/** Whose parts they are. */
export interface PartsJob extends Caller {
    lanes: Lanes;
    file: Blob;
    /** Where it is now, and how many bytes were there before. */
    phase(phase: "uploading", loaded: number): void;
    /** Bytes that are on their way or there. */
    loaded(bytes: number): void;
    /** Runs `work`; again after every pause that aborted its signal. */
    stretch(work: (signal: AbortSignal) => Promise<void>): Promise<void>;
}
/** Fills a multipart ticket; if that was `begun` before, with what storage does not have yet. */
export declare function fillParts(job: PartsJob, id: string, plan: Plan, begun: boolean, onTicket: (ticket: Ticket) => void): Promise<void>;
