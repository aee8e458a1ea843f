/** RFC 9457 problem details, as every refusal of the API carries them. */
export interface Problem {
    type?: string;
    title?: string;
    status: number;
    /** Stable; branch on this. */
    code: string;
    /** One sentence for people. */
    detail?: string;
    /** With `content-rejected`: why. */
    reason?: string;
    /** The type that was declared. */
    declared?: string;
    /** The type that the bytes turned out to be. */
    detected?: string;
    [member: string]: unknown;
}
/**
 * Every way an upload or a call can fail.
 *
 * `code` is the API's own code (`content-rejected`, `slot-full`, …) or one of the client's:
 *
 * | code | meaning |
 * |---|---|
 * | `cancelled` | by the caller |
 * | `token-unavailable` | the token getter threw; `cause` is what it threw |
 * | `api-unreachable` | no answer from the broker |
 * | `bad-answer` | an answer that is not the broker's (a proxy's page, for example) |
 * | `storage-unreachable` | no answer from storage, or none but errors of its own: the network, CORS, an outage |
 * | `storage-refused` | storage answered with an error that a retry does not cure |
 * | `failed` | something that should not have happened; `cause` says what |
 * | `file-changed` | the file was changed, moved or deleted after it was chosen, or cannot be read |
 */
export declare class PutgateError extends Error {
    readonly code: string;
    /** HTTP status; 0 when there was no answer. */
    readonly status: number;
    /** One sentence for people. */
    readonly detail: string;
    readonly reason: string | undefined;
    readonly declared: string | undefined;
    readonly detected: string | undefined;
    /** The whole problem, with members of its own such as `limit`; null for the client's codes. */
    readonly problem: Problem | null;
    constructor(code: string, status: number, detail: string, problem?: Problem | null, cause?: unknown);
}
/** The error for a problem of the API. */
export declare function fromProblem(problem: Problem): PutgateError;
/** The error for an answer of the API, which a proxy may have written instead. */
export declare function fromAnswer(status: number, body: unknown): PutgateError;
/** The error of a caller who changed their mind. */
export declare function cancelled(): PutgateError;
/** What was thrown, as an error of ours. */
export declare function asError(thrown: unknown): PutgateError;
/** Whether `value` is a JSON object. */
export declare function isObject(value: unknown): value is Record<string, unknown>;
