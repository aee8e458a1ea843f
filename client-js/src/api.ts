import { PutgateError, cancelled, fromAnswer, isObject } from "./errors.js";
import type { Problem } from "./errors.js";
import { persist } from "./retry.js";
import type { Answer, Transport } from "./transport.js";

/** A bearer token, or a function that gets one; it is called again, once, when a token is refused. */
export type Token = string | (() => string | Promise<string>);

/** A slot's policy, for the UI. Sizes in bytes. */
export interface Slot {
  name: string;
  /** Extensions, MIME types, wildcards; empty: any bytes. */
  accept: string[];
  max_file_size: number;
  max_entries: number;
  on_full: "reject" | "replace";
  auto_upload: boolean;
  /** Bytes per owner; absent or null: no bound. */
  quota?: number | null;
  /** What the caller has used of it, for the null ref. */
  usage: { open_tickets: number; files: number; reserved_bytes: number; stored_bytes: number };
  [member: string]: unknown;
}

/** A committed upload. */
export interface CommittedFile {
  id: string;
  slot: string;
  ref: string | null;
  owner: string;
  key: string;
  name: string;
  /** Bytes. */
  size: number;
  /** The detected type. */
  type: string;
  etag: string;
  sha256?: string;
  width?: number;
  height?: number;
  metadata: Record<string, unknown>;
  /** RFC 3339. */
  committed_at: string;
  claimed_at?: string;
  /** A presigned download, good for `url_expires_in` seconds. */
  url: string;
  url_expires_in: number;
}

/** One page of files, newest first. */
export interface FilePage {
  files: CommittedFile[];
  /** For the next page; null on the last. */
  next_cursor: string | null;
}

/** One presigned request. */
export interface SignedPut {
  method: string;
  url: string;
  headers: Record<string, string>;
  /** Seconds. */
  expires_in: number;
}

/** One presigned part. */
export interface SignedPart {
  number: number;
  size: number;
  url: string;
  headers: Record<string, string>;
}

/** How to fill a ticket. */
export type Transfer =
  | ({ kind: "put" } & SignedPut)
  | { kind: "multipart"; part_size: number; part_count: number; parts: SignedPart[]; expires_in: number };

/** Permission for one object. */
export interface Ticket {
  id: string;
  slot: string;
  state: "open" | "committed" | "rejected" | "expired" | "cancelled";
  transfer?: Transfer;
  file?: CommittedFile;
  problem?: Problem;
}

/** What is asked of one call. */
export interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  keepalive?: boolean;
  /** Not repeated when it fails: a courtesy nobody should wait for. */
  once?: boolean;
}

/** A 2xx answer of the API. */
export interface Success {
  status: number;
  body: unknown;
  retryAfter: number | null;
}

/** The broker's API: one authenticated, persistent call. */
export class Api {
  readonly transport: Transport;
  readonly #endpoint: string;
  readonly #getToken: () => Promise<string>;
  readonly #renewable: boolean;
  #token: Promise<string> | null = null;

  constructor(endpoint: string, token: Token, transport: Transport) {
    this.#endpoint = endpoint.replace(/\/+$/, "");
    this.#getToken = async () => (typeof token === "string" ? token : token());
    this.#renewable = typeof token !== "string";
    this.transport = transport;
  }

  /** Calls `path`; throws a `PutgateError` for anything but 2xx, or what the token getter threw. */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Success> {
    const { signal } = options;
    let renewable = this.#renewable;
    for (;;) {
      if (signal?.aborted) throw cancelled();
      const token = (this.#token ??= this.#getToken());
      const bearer = await this.#read(token);
      const send = () => this.#send(method, path, bearer, options);
      const answer = options.once ? await send() : await persist(this.transport, send, signal);
      if (signal?.aborted) throw cancelled();
      if (answer.status === 401 && renewable) {
        renewable = false;
        this.#forget(token);
        continue;
      }
      return success(answer);
    }
  }

  /** A failure to get a token is not remembered: the next call asks again. */
  async #read(token: Promise<string>): Promise<string> {
    try {
      return await token;
    } catch (error) {
      this.#forget(token);
      throw error;
    }
  }

  /** Drops this token, unless another call has fetched a new one in the meantime. */
  #forget(token: Promise<string>): void {
    if (this.#token === token) this.#token = null;
  }

  #send(method: string, path: string, bearer: string, options: CallOptions): Promise<Answer> {
    const { body, headers, signal, keepalive = false } = options;
    return this.transport.call({
      method,
      url: this.#endpoint + path,
      headers: {
        authorization: `Bearer ${bearer}`,
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
      keepalive,
    });
  }
}

function success({ status, text, retryAfter }: Answer): Success {
  if (status === 0) {
    throw new PutgateError("api-unreachable", 0, "The upload service does not answer. Check the connection.");
  }
  let body: unknown = null;
  try {
    body = text === "" ? null : JSON.parse(text);
  } catch {
    throw fromAnswer(status, null);
  }
  if (status < 200 || status > 299) throw fromAnswer(status, body);
  return { status, body, retryAfter };
}

/** The JSON object that the API documents, or `bad-answer`. The shape within is the API's promise. */
export function objectOf<T>(answer: Success): T {
  if (!isObject(answer.body)) {
    throw new PutgateError("bad-answer", answer.status, "The server's answer is not a JSON object.");
  }
  return answer.body as T;
}
