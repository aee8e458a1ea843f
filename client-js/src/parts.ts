import { ask } from "./api.js";
import type { Caller } from "./api.js";
import { PutgateError } from "./errors.js";
import { MOST } from "./lanes.js";
import type { Lanes } from "./lanes.js";
import { linked } from "./retry.js";
import { changed, goodUntil, send } from "./send.js";
import type { Signed } from "./send.js";
import type { Plan, SignedPart, Ticket } from "./types.js";

/** The most parts of one call of `sign`. */
const BATCH = 100;
/** Parts signed at a time before it is known how fast they go. */
const FIRST_BATCH = 8;

/** Whose parts they are. */
export interface PartsJob extends Caller {
  lanes: Lanes;
  file: Blob;
  /** Where it is now, and how many bytes were there before. */
  phase(phase: "uploading", loaded: number): void;
  /** Bytes that are on their way or there. */
  loaded(bytes: number): void;
  /** Runs `work`; again after every pause that aborted its signal. */
  stretch(work: (signal: AbortSignal) => Promise<void>): Promise<void>;
}

/** A ticket's parts, and which of them storage does not have. */
interface Parts {
  job: PartsJob;
  id: string;
  plan: Plan;
  /** By number; sent ones are taken out. */
  missing: Set<number>;
  onSent: (number: number, bytes: number) => void;
  onTicket: (ticket: Ticket) => void;
}

/** Fills a multipart ticket; if that was `begun` before, with what storage does not have yet. */
export async function fillParts(
  job: PartsJob,
  id: string,
  plan: Plan,
  begun: boolean,
  onTicket: (ticket: Ticket) => void,
): Promise<void> {
  const { part_size: size, part_count: count } = plan;
  const missing = new Set(Array.from({ length: count }, (_, i) => i + 1));
  const sent = new Map<number, number>();
  let total = 0;
  if (begun) {
    const { parts } = await ask<{ parts: { number: number; size: number }[] }>(job, id, "GET", "/parts");
    for (const part of parts) {
      const planned = part.number < count ? size : job.file.size - size * (count - 1);
      if (part.size === planned && missing.delete(part.number)) total += part.size;
    }
  }
  job.phase("uploading", total);
  const onSent = (number: number, bytes: number) => {
    total += bytes - (sent.get(number) ?? 0);
    sent.set(number, bytes);
    job.loaded(total);
  };
  const parts = { job, id, plan, missing, onSent, onTicket };
  await job.stretch((signal) => sendParts(parts, signal));
}

/** Sends every missing part once, several at a time. The first that fails stops the rest. */
async function sendParts(parts: Parts, outer: AbortSignal): Promise<void> {
  const { job, plan, missing } = parts;
  const { file, lanes } = job;
  const { size: whole, lastModified } = file as File;
  const inner = linked(outer);
  const signer = new Signer(parts, inner.signal);
  const waiting = [...missing].sort((a, b) => a - b);

  const worker = async () => {
    for (let number = waiting.shift(); number !== undefined; number = waiting.shift()) {
      const n = number;
      if (file.size !== whole || (file as File).lastModified !== lastModified) throw changed();
      const from = (n - 1) * plan.part_size;
      await send({
        transport: job.desk.api.transport,
        lanes,
        body: file.slice(from, Math.min(from + plan.part_size, file.size)),
        sign: (refused) => signer.get(n, refused, waiting),
        onSent: (bytes) => parts.onSent(n, bytes),
        signal: inner.signal,
        offline: job.offline,
      });
      missing.delete(n);
      signer.sent(n);
    }
  };
  // More than the lanes let pass would only wait.
  const workers = Array.from({ length: Math.min(MOST, waiting.length) }, worker);
  try {
    await Promise.all(workers);
  } catch (error) {
    inner.abort();
    await Promise.allSettled(workers);
    throw error;
  } finally {
    inner.unlink();
  }
}

/** A signature that was ordered. */
interface Order {
  signed: Promise<Signed>;
  /** Until when (ms) it is good; unknown while it is on the way. */
  good: number;
}

/** Keeps presigned parts in stock: signed in batches, ahead of their use, and never used too late. */
class Signer {
  readonly #parts: Parts;
  readonly #now: () => number;
  readonly #signal: AbortSignal;
  readonly #stock = new Map<number, Order>();
  readonly #began: number;
  #sent = 0;
  /** Seconds a URL lives, once known. */
  #life = 0;

  constructor(parts: Parts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
    this.#now = parts.job.desk.api.transport.now;
    this.#began = this.#now();
  }

  /** A request for this part that is good now, and not the refused one; `next` are the parts that come after it. */
  async get(number: number, refused: Signed | null, next: readonly number[]): Promise<Signed> {
    if (refused) this.#stock.delete(number);
    this.#fill([number, ...next.slice(0, BATCH)], 1);
    // Whatever life the server gave: signing once more would not give it a longer one.
    const signed = await this.#stock.get(number)!.signed;
    this.#fill(next, this.#parts.job.lanes.limit);
    return signed;
  }

  sent(number: number): void {
    this.#stock.delete(number);
    this.#sent += 1;
  }

  /** Orders as many as can be used in half the life of a URL, when one of the first `due` is not in stock. */
  #fill(numbers: readonly number[], due: number): void {
    const now = this.#now();
    const lacks = (number: number) => !((this.#stock.get(number)?.good ?? 0) > now);
    if (!numbers.slice(0, due).some(lacks)) return;
    const pace = this.#sent / Math.max(1, now - this.#began);
    const ahead = this.#sent === 0 ? FIRST_BATCH : Math.ceil(pace * this.#life * 500);
    this.#order(numbers.slice(0, Math.min(BATCH, Math.max(ahead, this.#parts.job.lanes.limit))).filter(lacks));
  }

  #order(numbers: number[]): void {
    const { job, id, onTicket } = this.#parts;
    const asked = this.#now();
    const body = { parts: numbers };
    const answer = ask<Ticket & { parts?: SignedPart[] }>(job, id, "POST", "/sign", { body, signal: this.#signal });
    answer.then(onTicket, () => {});
    for (const number of numbers) {
      const signed = answer.then(({ transfer, parts }): Signed => {
        const part = parts?.find((candidate) => candidate.number === number);
        if (!part || !transfer) throw new PutgateError("bad-answer", 200, `The server did not sign part ${number}.`);
        this.#life = transfer.expires_in;
        order.good = goodUntil(asked, transfer.expires_in);
        return { method: "PUT", ...part, expires_in: transfer.expires_in, good: order.good };
      });
      const order: Order = { signed, good: Infinity };
      this.#stock.set(number, order);
      // Whoever needs the part orders it again.
      signed.catch(() => (order.good = 0));
    }
  }
}
