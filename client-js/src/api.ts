import { PutgateError, cancelled, fromAnswer, isObject } from "./errors.js";
import { CALL_STALL, persist, watched } from "./retry.js";
import type { Answer, Transport } from "./transport.js";
import type { Token } from "./types.js";

const NEVER = new AbortController().signal;

/** What is asked of one call. */
export interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  keepalive?: boolean;
  /** Not repeated when it fails: a courtesy nobody should wait for. */
  once?: boolean;
  offline?: ((waiting: boolean) => void) | undefined;
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
  readonly endpoint: string;
  readonly #getToken: () => Promise<string>;
  readonly #renewable: boolean;
  #token: Promise<string> | null = null;

  constructor(endpoint: string, token: Token, transport: Transport) {
    this.endpoint = endpoint.replace(/\/+$/, "");
    this.#getToken = async () => (typeof token === "string" ? token : token());
    this.#renewable = typeof token !== "string";
    this.transport = transport;
  }

  /** Calls `path`; throws a `PutgateError` for anything but 2xx. */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Success> {
    const { signal = NEVER, offline } = options;
    let token: Promise<string> | null = null;
    let noToken: PutgateError | null = null;
    const send = async () => {
      token = this.#token ??= this.#getToken();
      try {
        noToken = null;
        return await this.#send(method, path, await token, options, signal);
      } catch (error) {
        this.#forget(token);
        noToken = new PutgateError("token-unavailable", 0, `There is no token. ${error}`, null, error);
        // What `fetch` throws when the network fails; anything else is an answer.
        if (error instanceof TypeError) return LOST;
        throw noToken;
      }
    };
    const renew = this.#renewable ? () => this.#forget(token) : undefined;
    if (signal.aborted) throw cancelled();
    const answer = options.once
      ? await send()
      : await persist(this.transport, { leg: "api", signal, send, renew, offline });
    if (noToken) throw noToken;
    return success(answer);
  }

  /** Drops this token, unless another call has fetched a new one in the meantime. */
  #forget(token: Promise<string> | null): void {
    if (this.#token === token) this.#token = null;
  }

  #send(method: string, path: string, bearer: string, options: CallOptions, signal: AbortSignal): Promise<Answer> {
    const { body, headers, keepalive = false } = options;
    return watched(this.transport, signal, CALL_STALL, (signal) =>
      this.transport.call({
        method,
        url: this.endpoint + path,
        headers: {
          authorization: `Bearer ${bearer}`,
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal,
        keepalive,
      }),
    );
  }
}

const LOST: Answer = { status: 0, text: "", retryAfter: null };

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

/** Who calls for an upload: what ends the call, and who hears that it waits for the network. */
export interface Caller {
  desk: { api: Api };
  signal: AbortSignal;
  offline: (waiting: boolean) => void;
}

/** The answer of a call about a ticket. */
export async function ask<T>(caller: Caller, id: string, method: string, verb: string, options: CallOptions = {}): Promise<T> {
  const { signal, offline, desk } = caller;
  return objectOf<T>(await desk.api.call(method, `/v1/tickets/${id}${verb}`, { signal, offline, ...options }));
}
