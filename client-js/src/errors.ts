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
export class PutgateError extends Error {
  declare readonly code: string;
  /** HTTP status; 0 when there was no answer. */
  declare readonly status: number;
  /** One sentence for people. */
  declare readonly detail: string;
  declare readonly reason: string | undefined;
  declare readonly declared: string | undefined;
  declare readonly detected: string | undefined;
  /** The whole problem, with members of its own such as `limit`; null for the client's codes. */
  declare readonly problem: Problem | null;

  constructor(code: string, status: number, detail: string, problem: Problem | null = null, cause?: unknown) {
    super(`${code}: ${detail}`, cause === undefined ? {} : { cause });
    const { reason, declared, detected } = problem ?? ({} as Partial<Problem>);
    Object.assign(this, { name: "PutgateError", code, status, detail, reason, declared, detected, problem });
  }
}

/** The error for a problem of the API. */
export function fromProblem(problem: Problem): PutgateError {
  const { code, status, detail, title } = problem;
  return new PutgateError(code, status, detail ?? title ?? code, problem);
}

/** The error for an answer of the API, which a proxy may have written instead. */
export function fromAnswer(status: number, body: unknown): PutgateError {
  if (isObject(body) && typeof body["code"] === "string") {
    return fromProblem({ ...body, code: body["code"], status });
  }
  return new PutgateError("bad-answer", status, `The server answered ${status} without saying why.`);
}

/** The error of a caller who changed their mind. */
export function cancelled(): PutgateError {
  return new PutgateError("cancelled", 0, "The upload was cancelled.");
}

/** What was thrown, as an error of ours. */
export function asError(thrown: unknown): PutgateError {
  if (thrown instanceof PutgateError) return thrown;
  return new PutgateError("failed", 0, String(thrown), null, thrown);
}

/** Whether `value` is a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
