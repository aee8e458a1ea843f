import { PutgateError } from "./errors.js";
import type { Lanes } from "./lanes.js";
import { LAST_STALL, STALL, isTransient, persist, watched } from "./retry.js";
import type { Answer, Transport } from "./transport.js";
import type { SignedPut } from "./types.js";

/** A presigned request and the time (ms) until which it may be used. */
export interface Signed extends SignedPut {
  good: number;
}

/** One body for storage. */
export interface Sending {
  transport: Transport;
  lanes: Lanes;
  body: Blob;
  /** A request that is good now; `refused` is the one that storage answered with 403. */
  sign: (refused: Signed | null) => Promise<Signed>;
  onSent: (bytes: number) => void;
  signal: AbortSignal;
  offline: (waiting: boolean) => void;
}

/** Until when a request may be used that was asked for at `asked`: with time for the way to the store. */
export function goodUntil(asked: number, expiresIn: number): number {
  return asked + expiresIn * 1000 - Math.min(5000, expiresIn * 250);
}

/**
 * Sends one body to storage, by the matrix of `retry.ts`. What is left after it is an error:
 * `storage-unreachable` when there was no answer or a transient one, `file-changed` when the body
 * cannot be read any more, else `storage-refused`.
 */
export async function send({ transport, lanes, body, sign, onSent, signal, offline }: Sending): Promise<void> {
  let used: Signed | null = null;
  let refused: Signed | null = null;
  const attempt = async () => {
    // The lane first: a URL that waits in line grows old.
    const leave = await lanes.enter(signal);
    try {
      const { method, url, headers } = (used = await sign(refused));
      refused = null;
      const answer = await watched(transport, signal, STALL, (signal, alive) => {
        const sent = (bytes: number) => {
          alive(bytes < body.size ? STALL : LAST_STALL);
          onSent(bytes);
        };
        return transport.put({ method, url, headers, body, signal, onSent: sent });
      });
      if (isGood(answer)) onSent(body.size);
      else onSent(0);
      if (answer.status === 0 && !signal.aborted && !(await isReadable(body))) throw changed();
      if (!signal.aborted) leave({ bytes: isGood(answer) ? body.size : 0, trouble: isTransient(answer), now: transport.now() });
      return answer;
    } finally {
      leave();
    }
  };
  const renew = () => {
    refused = used;
  };
  const answer = await persist(transport, { leg: "storage", signal, send: attempt, renew, offline });
  if (!isGood(answer)) throw storageError(answer);
}

function isGood({ status }: Answer): boolean {
  return status >= 200 && status < 300;
}

/** Browsers report a file that changed under them as a failure of the network. */
async function isReadable(body: Blob): Promise<boolean> {
  try {
    await body.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** The error of a file that is not what was chosen. */
export function changed(): PutgateError {
  return new PutgateError("file-changed", 0, "The file was changed or moved after it was chosen, or cannot be read. Choose it again.");
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
  const said = `${status}${word ? ` ${word}` : ""}.`;
  return isTransient(answer)
    ? new PutgateError("storage-unreachable", status, `Storage is in trouble: ${said}`)
    : new PutgateError("storage-refused", status, `Storage refused the upload: ${said}`);
}

function origin(): string {
  return (globalThis as { location?: { origin?: string } }).location?.origin ?? "this origin";
}
