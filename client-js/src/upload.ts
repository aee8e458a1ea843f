import { objectOf } from "./api.js";
import type { Api, CommittedFile, SignedPart, Success, Ticket, Transfer } from "./api.js";
import { PutgateError, cancelled, fromProblem } from "./errors.js";
import type { Problem } from "./errors.js";
import { isTransient, persist } from "./retry.js";
import { sha256 } from "./sha256.js";
import type { Answer } from "./transport.js";

/** Where an upload is. `loaded` reaches `total` only when the file is committed. */
export interface Progress {
  phase: "hashing" | "uploading" | "verifying";
  /** Bytes. */
  loaded: number;
  /** Bytes. */
  total: number;
}

/** How to upload one file. */
export interface UploadOptions {
  slot: string;
  /** Ties the file to an object of the app. */
  ref?: string;
  metadata?: Record<string, unknown>;
  /** The file's name; default: its own. */
  name?: string;
  /** Hash the file first; storage then refuses any other bytes (files of one PUT only). */
  checksum?: boolean;
  onProgress?: (progress: Progress) => void;
  /** Cancels the upload, and its ticket with it. */
  signal?: AbortSignal;
}

/** Parts on the wire at a time. */
const PARALLEL = 4;
/** Parts signed at a time: far enough ahead to never wait, near enough to be used before they expire. */
const SIGN_AHEAD = 16;
/** Seconds one call waits for the verdict. */
const WAIT = 20;

/**
 * Uploads one file; resolves when it is committed.
 *
 * After an abort nothing is left behind: the ticket is cancelled too. When the broker was
 * faster and has committed, the file exists, and the promise says so by resolving with it.
 *
 * After a failure of the network the ticket stays open, until its time is over; another
 * upload of the same `File` with the same options goes on with it.
 */
export async function upload(api: Api, file: Blob, options: UploadOptions): Promise<CommittedFile> {
  const { signal } = options;
  const tell = teller(options, file.size);
  const digest = options.checksum ? await hash(file, tell, signal) : undefined;
  const { ticket, keep } = await mint(api, file, options, digest);
  try {
    if (ticket.state !== "committed") await transferBytes(api, ticket, file, tell, signal);
    tell("verifying", file.size);
    const committed = await complete(api, ticket.id, signal);
    options.onProgress?.({ phase: "verifying", loaded: file.size, total: file.size });
    return committed;
  } catch (error) {
    const committed = await afterFailure(api, ticket.id, error, keep, signal);
    if (committed) return committed;
    throw error;
  }
}

/**
 * Ends the ticket that nobody will fill any more, and keeps the one that may still be filled.
 * Answers the file when the commit was faster than the failure.
 *
 * | failure | ticket |
 * |---|---|
 * | abort | cancelled |
 * | storage refused the bytes | cancelled |
 * | no (good) answer from storage or broker | kept for another try |
 * | the broker's refusal | the broker has ended it, or judges what arrived |
 */
async function afterFailure(
  api: Api,
  id: string,
  error: unknown,
  keep: () => void,
  signal?: AbortSignal,
): Promise<CommittedFile | null> {
  const { code, status } = error instanceof PutgateError ? error : { code: "", status: 400 };
  if (signal?.aborted || code === "storage-refused") return cancel(api, id);
  const lost = code === "storage-unreachable";
  if (lost || status === 0 || status >= 500) keep();
  return lost ? whatCommitted(api, id) : null;
}

type Tell = (phase: Progress["phase"], loaded: number) => void;

function teller({ onProgress }: UploadOptions, total: number): Tell {
  // 99 % until the commit: bytes that wait for their verdict are not done.
  return (phase, loaded) =>
    onProgress?.({ phase, loaded: Math.min(loaded, Math.floor(total * 0.99)), total });
}

async function hash(file: Blob, tell: Tell, signal?: AbortSignal): Promise<string> {
  const aborted = () => signal?.aborted ?? false;
  tell("hashing", 0);
  const digest = aborted() ? null : await sha256(file, (bytes) => tell("hashing", bytes), aborted);
  if (digest === null) throw cancelled();
  return digest;
}

/** The mints whose tickets wait for another try, by their file. */
const kept = new WeakMap<Blob, { api: Api; wish: string; key: string }>();

/** A ticket, and what remembers it for another try. */
interface Mint {
  ticket: Ticket;
  keep: () => void;
}

async function mint(
  api: Api,
  file: Blob & { name?: string },
  { slot, ref, metadata, name, signal }: UploadOptions,
  digest: string | undefined,
): Promise<Mint> {
  if (signal?.aborted) throw cancelled();
  const body = {
    slot,
    ref,
    files: [{ name: name ?? file.name ?? "file", size: file.size, type: file.type || undefined, sha256: digest, metadata }],
  };
  const wish = JSON.stringify(body);
  const ask = async (key: string): Promise<Mint> => {
    // Not aborted in flight: whoever does not read the answer cannot give the ticket back.
    const minted = api.call("POST", "/v1/tickets", { body, headers: { "idempotency-key": key } }).then(firstTicket);
    const ticket = await unlessAborted(minted, signal, ({ id }) => void cancel(api, id));
    return { ticket, keep: () => kept.set(file, { api, wish, key }) };
  };
  const earlier = kept.get(file);
  kept.delete(file);
  if (earlier?.api === api && earlier.wish === wish) {
    const again = await ask(earlier.key);
    if (again.ticket.state === "open" || again.ticket.state === "committed") return again;
  }
  return ask(randomKey());
}

function firstTicket(answer: Success): Ticket {
  const { tickets, errors } = objectOf<{ tickets?: Ticket[]; errors?: { problem: Problem }[] }>(answer);
  const ticket = tickets?.[0];
  if (ticket) return ticket;
  const refused = errors?.[0];
  if (refused) throw fromProblem(refused.problem);
  throw new PutgateError("bad-answer", answer.status, "The server minted no ticket and gave no reason.");
}

/** Repeats of one mint carry the same key, so that a lost answer does not mint twice. */
function randomKey(): string {
  // randomUUID is missing on plain-http pages.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `promise`, or `cancelled` as soon as the signal is aborted; what then still arrives goes to `late`. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined, late: (value: T) => void): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => {
      promise.then(late, () => {});
      reject(cancelled());
    };
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

async function transferBytes(api: Api, ticket: Ticket, file: Blob, tell: Tell, signal?: AbortSignal): Promise<void> {
  const transfer = ticket.transfer;
  tell("uploading", 0);
  if (transfer?.kind === "put") {
    const resign = async () => {
      const fresh = (await sign(api, ticket.id, undefined, signal)).transfer;
      return fresh?.kind === "put" ? { ...fresh, good: goodUntil(api, fresh.expires_in) } : null;
    };
    const first = { ...transfer, good: goodUntil(api, transfer.expires_in) };
    await send(api, transfer.method, first, resign, file, (sent) => tell("uploading", sent), signal);
  } else if (transfer?.kind === "multipart") {
    await sendParts(api, ticket.id, transfer, file, tell, signal);
  } else {
    throw new PutgateError("bad-answer", 201, "The ticket came without a transfer that this client knows.");
  }
}

/** Every part once, a few at a time. The first that fails stops the rest. */
async function sendParts(
  api: Api,
  id: string,
  plan: Transfer & { kind: "multipart" },
  file: Blob,
  tell: Tell,
  outer?: AbortSignal,
): Promise<void> {
  const { part_size: size, part_count: count } = plan;
  const inner = new AbortController();
  const stop = () => inner.abort();
  if (outer?.aborted) stop();
  outer?.addEventListener("abort", stop);

  const signed = new Map<number, Promise<Signed | null>>();
  const signFrom = (first: number) => {
    const numbers = Array.from({ length: Math.min(SIGN_AHEAD, count - first + 1) }, (_, i) => first + i);
    const answer = sign(api, id, numbers, inner.signal);
    for (const number of numbers) {
      const one = answer.then(({ transfer, parts }) => {
        const part = parts?.find((candidate) => candidate.number === number);
        return part && transfer ? { ...part, good: goodUntil(api, transfer.expires_in) } : null;
      });
      // A worker that stopped early leaves its promise unread.
      one.catch(() => {});
      signed.set(number, one);
    }
  };
  const signedPart = async (number: number, again: boolean) => {
    if (again || !signed.has(number)) signFrom(number);
    return (await signed.get(number)) ?? null;
  };

  const sent = new Map<number, number>();
  let total = 0;
  const counted = (number: number, bytes: number) => {
    total += bytes - (sent.get(number) ?? 0);
    sent.set(number, bytes);
    tell("uploading", total);
  };

  let next = 1;
  const worker = async () => {
    while (next <= count) {
      const number = next++;
      const first = await signedPart(number, false);
      if (!first) throw new PutgateError("bad-answer", 200, `The server did not sign part ${number}.`);
      const slice = file.slice((number - 1) * size, Math.min(number * size, file.size));
      await send(api, "PUT", first, () => signedPart(number, true), slice, (bytes) => counted(number, bytes), inner.signal);
    }
  };
  const workers = Array.from({ length: Math.min(PARALLEL, count) }, worker);
  try {
    await Promise.all(workers);
  } catch (error) {
    inner.abort();
    await Promise.allSettled(workers);
    throw error;
  } finally {
    outer?.removeEventListener("abort", stop);
  }
}

/** A presigned request and the time (ms) until which it may be used. */
interface Signed {
  url: string;
  headers: Record<string, string>;
  good: number;
}

function goodUntil(api: Api, expiresIn: number): number {
  // A second for the way to the store.
  return api.transport.now() + (expiresIn - 1) * 1000;
}

/**
 * Sends one body to storage.
 *
 * | answer | what happens |
 * |---|---|
 * | 2xx | done |
 * | transient (`isTransient`) | the same again, later; with a fresh URL if this one expired meanwhile |
 * | 403 | signed anew, once |
 * | none or a transient one, after all tries | `storage-unreachable` |
 * | anything else | `storage-refused` |
 */
async function send(
  api: Api,
  method: string,
  first: Signed,
  resign: () => Promise<Signed | null>,
  body: Blob,
  onSent: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { transport } = api;
  let signed = first;
  const renew = async () => {
    signed = (await resign()) ?? signed;
  };
  const attempt = async () => {
    if (signal?.aborted) throw cancelled();
    // A connection cut because of an expired URL shows as status 0, never as the 403 it was.
    if (transport.now() > signed.good) await renew();
    const { url, headers } = signed;
    return transport.put({ method, url, headers, body, signal, onSent });
  };
  let answer = await persist(transport, attempt, signal);
  if (answer.status === 403 && !signal?.aborted) {
    await renew();
    answer = await persist(transport, attempt, signal);
  }
  if (signal?.aborted) throw cancelled();
  if (answer.status < 200 || answer.status > 299) throw storageError(answer);
  onSent(body.size);
}

function storageError(answer: Answer): PutgateError {
  const { status, text } = answer;
  if (status === 0) {
    return new PutgateError(
      "storage-unreachable",
      0,
      `Storage does not answer. Check the connection; if only this page fails, the bucket's CORS rules must allow PUT from ${origin()}.`,
    );
  }
  const word = /<Code>([A-Za-z0-9]+)<\/Code>/.exec(text)?.[1];
  if (isTransient(answer)) {
    return new PutgateError("storage-unreachable", status, `Storage is in trouble: ${status}${word ? ` ${word}` : ""}.`);
  }
  return new PutgateError("storage-refused", status, `Storage refused the upload: ${status}${word ? ` ${word}` : ""}.`);
}

function origin(): string {
  return (globalThis as { location?: { origin?: string } }).location?.origin ?? "this origin";
}

/** What `sign` answers: the ticket with its transfer anew, and the parts asked for. */
interface SignAnswer {
  transfer?: Transfer;
  parts?: SignedPart[];
}

/** Fresh URLs. */
async function sign(api: Api, id: string, parts: number[] | undefined, signal?: AbortSignal): Promise<SignAnswer> {
  return objectOf<SignAnswer>(await api.call("POST", `/v1/tickets/${id}/sign`, { body: parts ? { parts } : {}, signal }));
}

/** Asks for the verdict until there is one. */
async function complete(api: Api, id: string, signal?: AbortSignal): Promise<CommittedFile> {
  for (;;) {
    const asked = api.transport.now();
    // Every time the whole request: an attempt that ended without a decision needs another.
    const { body, retryAfter } = await api.call("POST", `/v1/tickets/${id}/complete?wait=${WAIT}`, { signal });
    const ticket = body as Ticket | null;
    if (ticket?.state === "committed") {
      if (ticket.file) return ticket.file;
      throw new PutgateError("bad-answer", 200, "The ticket is committed, but its file is missing from the answer.");
    }
    // A server that does not wait must not be asked in a tight loop.
    const pause = retryAfter ?? (api.transport.now() - asked < 1000 ? 1 : 0);
    await api.transport.sleep(pause * 1000, signal);
  }
}

/** Cancels a ticket, as well as it can; answers the file when the commit was faster. */
async function cancel(api: Api, id: string): Promise<CommittedFile | null> {
  try {
    await api.call("DELETE", `/v1/tickets/${id}`, { keepalive: true, once: true });
    return null;
  } catch {
    return whatCommitted(api, id);
  }
}

/** The ticket's file when it is known to be committed. */
async function whatCommitted(api: Api, id: string): Promise<CommittedFile | null> {
  try {
    const { body } = await api.call("GET", `/v1/tickets/${id}`, { once: true });
    const ticket = body as Ticket | null;
    return (ticket?.state === "committed" && ticket.file) || null;
  } catch {
    // Its deadline ends the ticket.
    return null;
  }
}
