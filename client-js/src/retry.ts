import { cancelled } from "./errors.js";
import type { Answer, Transport } from "./transport.js";

/** How often one request is tried in all: with the waits between them about half a minute. */
export const TRIES = 8;
/** Seconds; a server that asks for more patience than this is taken at its word: we give up. */
export const MAX_WAIT = 60;
/** Milliseconds without a byte after which a request is dropped. */
export const STALL = 30_000;
/** The same once all bytes are handed to the network: they may still lie in its buffers. */
export const LAST_STALL = 120_000;
/** Milliseconds that one call of the API may take; the longest asks the server to wait for 20 s. */
export const CALL_STALL = 60_000;
/** Milliseconds after which a network that is said to be gone is tried all the same. */
export const OFFLINE = 60_000;

/** Whom a request is for: the broker, or storage. */
export type Leg = "api" | "storage";

/** What has happened to a request so far. */
export interface History {
  /** Tries that were answered, the last one included. */
  tries: number;
  /** Whether it already had a new token, or a new URL. */
  renewed: boolean;
  /** Whether the browser says there is a network. */
  online: boolean;
  /** 0 ≤ x < 1 */
  random: number;
}

/** What to do about an answer. `take`: it stands, good or bad; a number: the same again after so many milliseconds. */
export type Step = "take" | "renew" | "online" | number;

/**
 * The one retry matrix, for every request of the client.
 *
 * | answer | broker | storage |
 * |---|---|---|
 * | 2xx | take | take |
 * | none, and the browser is offline | wait for the network; costs no try | the same |
 * | none: network, stall, an abort nobody asked for | wait, again | the same |
 * | 408, 425, 429, 5xx | wait, again | the same |
 * | 400 `RequestTimeout` | take | wait, again: S3's word for a stalled body |
 * | 429 `too-many-open-tickets`, 507 | take: a limit, not a crowd | take |
 * | `Retry-After` above 60 s | take | take |
 * | 401 | a new token, once | take |
 * | 403 | take | a new URL, once |
 * | anything else | take | take |
 */
export function next(leg: Leg, answer: Answer, { tries, renewed, online, random }: History): Step {
  const { status, retryAfter } = answer;
  if (status === 0 && !online) return "online";
  if (isTransient(answer)) {
    const spent = tries >= TRIES || (retryAfter ?? 0) > MAX_WAIT;
    return spent ? "take" : backoff(tries, retryAfter, random);
  }
  return !renewed && status === (leg === "api" ? 401 : 403) ? "renew" : "take";
}

/** Whether the same request may do better later. */
export function isTransient({ status, text }: Answer): boolean {
  if (status === 429) return !text.includes("too-many-open-tickets");
  if (status === 400) return text.includes("<Code>RequestTimeout<");
  return status === 0 || status === 408 || status === 425 || (status >= 500 && status !== 507);
}

/** Milliseconds before try number `tries` + 1: 0.5, 1, 2 … 20 s with half jitter, and no less than the server asked for. */
export function backoff(tries: number, retryAfter: number | null, random: number): number {
  // A short Retry-After says when to ask again, not that an outage is over: it must not use up all tries at once.
  return Math.max((retryAfter ?? 0) * 1000, Math.min(20_000, 500 * 2 ** (tries - 1)) * (0.5 + random / 2));
}

/** One request, told as often as it takes. */
export interface Request {
  leg: Leg;
  signal: AbortSignal;
  send: () => Promise<Answer>;
  /** Gets a new token or URL; absent: there is none to get. */
  renew?: (() => void) | undefined;
  /** Hears when the request begins and ceases to wait for the network. */
  offline?: ((waiting: boolean) => void) | undefined;
}

/** Sends until an answer stands. Throws `cancelled` when the signal is aborted, and what `send` or `renew` throw. */
export async function persist(transport: Transport, { leg, signal, send, renew, offline }: Request): Promise<Answer> {
  let tries = 0;
  let renewed = !renew;
  for (;;) {
    if (signal.aborted) throw cancelled();
    const answer = await send();
    if (signal.aborted) throw cancelled();
    tries += 1;
    const step = next(leg, answer, { tries, renewed, online: transport.online(), random: transport.random() });
    if (step === "take") return answer;
    if (step === "renew") {
      renewed = true;
      renew?.();
    } else if (step === "online") {
      tries -= 1;
      offline?.(true);
      await sleep(transport, OFFLINE, signal, (wake) => transport.onOnline(wake));
      offline?.(false);
    } else {
      await sleep(transport, step, signal);
    }
  }
}

/** A controller that aborts with `outer`, until it is unlinked. */
export function linked(outer: AbortSignal): { signal: AbortSignal; abort: () => void; unlink: () => void } {
  const inner = new AbortController();
  const abort = () => inner.abort();
  if (outer.aborted) abort();
  outer.addEventListener("abort", abort);
  return { signal: inner.signal, abort, unlink: () => outer.removeEventListener("abort", abort) };
}

/** Waits; ends early, without throwing, when the signal is aborted or `also` wakes. */
export function sleep(
  transport: Transport,
  milliseconds: number,
  signal: AbortSignal,
  also: (wake: () => void) => () => void = () => () => {},
): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      quiet();
      deaf();
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const quiet = transport.after(milliseconds, wake);
    const deaf = also(wake);
    signal.addEventListener("abort", wake);
  });
}

/**
 * One request that is dropped when `patience` milliseconds pass without a sign of life; each
 * sign says how much patience the next may take. Gone like this it is an answer with status 0.
 */
export async function watched(
  transport: Transport,
  signal: AbortSignal,
  patience: number,
  send: (signal: AbortSignal, alive: (patience: number) => void) => Promise<Answer>,
): Promise<Answer> {
  const inner = linked(signal);
  let until = 0;
  const alive = (patience: number) => {
    until = transport.now() + patience;
  };
  // One timer, wound up again when it rings too early: signs of life come many times a second.
  const watch = () => {
    const left = until - transport.now();
    quiet = left > 0 ? transport.after(left, watch) : (inner.abort(), () => {});
  };
  let quiet = () => {};
  alive(patience);
  watch();
  try {
    return await send(inner.signal, alive);
  } finally {
    quiet();
    inner.unlink();
  }
}
