import type { Api } from "./api.js";
import type { PutgateError } from "./errors.js";
import type { Slot } from "./types.js";
/** What is known of a file before its bytes are read. */
export interface Described {
    /** Of its own, or as the app calls it. */
    name: string;
    file: Blob;
}
/** The slots' policies, remembered for a minute. */
export declare class Policies {
    #private;
    constructor(api: Api);
    /** The slot, with its usage for `ref`; as fetched at most `age` milliseconds ago. */
    get(name: string, ref: string | undefined, age?: number): Promise<Slot>;
}
/**
 * Why the slot will not take the file, with the code and members of the server's problem; null
 * when it may. It never refuses what the server would take: where names and declared types do
 * not settle it, the server is asked.
 */
export declare function refusal(slot: Slot, file: Described): PutgateError | null;
/** How many more files a slot that replaces nothing has room for. Open tickets may yet go, or be resumed. */
export declare function room({ on_full, max_entries, usage }: Slot): number;
/** The refusal of a file that finds no room. */
export declare function full({ max_entries }: Slot): PutgateError;
