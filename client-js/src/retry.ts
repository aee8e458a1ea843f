import type { Answer, Transport } from "./transport.js";

/** How often one request is tried in all. */
export const TRIES = 5;
/** A server that asks for more patience than this (seconds) is taken at its word: we give up. */
export const MAX_WAIT = 60;

/**
 * Whether the same request may do better later.
 *
 * | answer | again? |
 * |---|---|
 * | none (network) | yes |
 * | 408, 429, 5xx | yes |
 * | 400 `RequestTimeout` from storage | yes: its word for a stalled body |
 * | 429 `too-many-open-tickets`, 507 | no: a limit, not a crowd |
 * | anything else | no |
 */
export function isTransient({ status, text }: Answer): boolean {
  if (status === 429) return !text.includes("too-many-open-tickets");
  if (status === 400) return text.includes("<Code>RequestTimeout</Code>");
  return status === 0 || status === 408 || (status >= 500 && status !== 507);
}

/** Milliseconds to wait before try number `attempt` + 1: what the server asked for, else 0.5, 1, 2, 4 s with half jitter. */
export function backoff(attempt: number, retryAfter: number | null, random: number): number {
  if (retryAfter !== null) return retryAfter * 1000;
  return 500 * 2 ** (attempt - 1) * (0.5 + random / 2);
}

/** Sends until the answer is not transient, tries are used up, or the signal is aborted; answers the last answer. */
export async function persist(
  transport: Transport,
  send: () => Promise<Answer>,
  signal?: AbortSignal,
): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await send();
    const patience = answer.retryAfter ?? 0;
    if (attempt === TRIES || patience > MAX_WAIT || signal?.aborted || !isTransient(answer)) return answer;
    await transport.sleep(backoff(attempt, answer.retryAfter, transport.random()), signal);
    if (signal?.aborted) return answer;
  }
}
