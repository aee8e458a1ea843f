import type { Progress } from "./types.js";

/** Milliseconds over which speed is measured. */
const WINDOW = 8000;
/** Milliseconds before a first measure means anything. */
const FIRST = 1000;

/** Turns "so many bytes by now" into speed and time left. */
export class Meter {
  #samples: [now: number, loaded: number][] = [];

  /** The progress at `now`; `done`: everything is committed. */
  read(now: number, loaded: number, total: number, done: boolean): Progress {
    const samples = this.#samples;
    const last = samples.at(-1);
    // Bytes that must be sent again make the past worthless.
    if (last && loaded < last[1]) samples.length = 0;
    while (samples.length > 1 && now - samples[1]![0] > WINDOW) samples.shift();
    // Two samples in a tenth of a second are one.
    if (samples.length > 1 && now - samples.at(-2)![0] < 100) samples.pop();
    samples.push([now, loaded]);
    const [since, before] = samples[0]!;
    const speed = now - since >= FIRST && !done ? ((loaded - before) * 1000) / (now - since) : null;
    return {
      loaded,
      total,
      // Bytes that wait for their verdict are not done.
      percent: done ? 100 : total === 0 ? 0 : Math.min(99, Math.floor((loaded / total) * 100)),
      speed,
      timeLeft: speed ? (total - loaded) / speed : null,
    };
  }

  /** Forgets what was measured: nothing moves on purpose. */
  reset(): void {
    this.#samples = [];
  }
}
