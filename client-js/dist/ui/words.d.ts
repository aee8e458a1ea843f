/** Numbers and states in words. */
import type { PutgateError } from "../errors.js";
import type { Upload } from "../types.js";
import type { Strings } from "./strings.js";
/** Bytes as people read them, by the decimal units that configurations use. */
export declare function bytes(count: number): string;
/** How long something will take; coarse, so that it does not flicker. */
export declare function timeLeft(seconds: number, say: Strings): string;
/** What a person has to know of an error. */
export declare function problem(error: PutgateError, say: Strings): string;
/** Where an upload is, in a line. */
export declare function status(upload: Upload, say: Strings): string;
