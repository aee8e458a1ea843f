import type { Client, ClientOptions } from "./types.js";
export { PutgateError } from "./errors.js";
export type { Problem } from "./errors.js";
export type { Client, ClientOptions, CommittedFile, Emitter, FilePage, FileQuery, Errand, Memory, Place, Progress, Queue, QueueEvents, QueueOptions, Slot, State, Token, Upload, UploadEvents, UploadOptions, Waiting, } from "./types.js";
export type { Answer, ApiRequest, PutRequest, Transport } from "./transport.js";
/** A client of the broker at `endpoint`. */
export declare function createClient({ endpoint, token, concurrency, resume, transport }: ClientOptions): Client;
