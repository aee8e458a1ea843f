import type { Memory } from "./types.js";
/** The browser's memory, without what has had its time; null when there is none. */
export declare function openMemory(now?: () => number): Promise<Memory | null>;
