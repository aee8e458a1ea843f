import type { Api } from "./api.js";
import type { Lanes } from "./lanes.js";
import type { Policies } from "./policy.js";
import type { CommittedFile, Memory, UploadOptions } from "./types.js";
/** What all uploads of a client share. */
export interface Desk {
    api: Api;
    policies: Policies;
    lanes: Lanes;
    memory: () => Promise<Memory | null>;
}
/** What a run sees and tells of its upload. */
export interface Job {
    desk: Desk;
    lanes: Lanes;
    file: Blob;
    name: string;
    options: UploadOptions;
    /** Aborted when the upload is cancelled. */
    signal: AbortSignal;
    /** The ticket's id once there is one; kept from run to run. */
    ticket: string | null;
    /** The ticket whose bytes are all there; kept from run to run. */
    delivered: string | null;
    /** Of the mint that has no answer yet; kept from run to run. */
    mintKey: string | null;
    /** Where it is now, and how many bytes of this phase were done before. */
    phase(phase: "turn" | "other-tab" | "hashing" | "uploading" | "verifying", loaded?: number): void;
    /** Bytes of this phase that are done. */
    loaded(bytes: number): void;
    offline(waiting: boolean): void;
    /** Resolves when it is this upload's turn. */
    turn(): Promise<void>;
    /** Runs `work`; again after every pause that aborted its signal. */
    stretch(work: (signal: AbortSignal) => Promise<void>): Promise<void>;
}
/**
 * One run of an upload: looks for a ticket to go on with or gets a new one, fills it, and asks
 * for the verdict. Run again after a failure, it goes on where the last one stopped.
 */
export declare function run(job: Job): Promise<CommittedFile>;
