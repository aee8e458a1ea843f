import { Lanes, MOST } from "./lanes.js";
import { Meter } from "./meter.js";
import { full, refusal, room } from "./policy.js";
import type { Desk } from "./run.js";
import type { Progress, Queue, QueueOptions, Upload, UploadOptions } from "./types.js";
import { FileUpload, hear } from "./upload.js";

/** Uploads that take their turns. */
export class FileQueue extends EventTarget implements Queue {
  items: readonly FileUpload[] = [];
  progress: Progress;
  readonly #desk: Desk;
  readonly #options: QueueOptions;
  readonly #turns: Lanes;
  readonly #lanes: Lanes;
  readonly #meter = new Meter();
  readonly #most: number;
  #paused = false;
  #started: boolean;
  /** Whether `done` has not been told of the last that was added. */
  #busy = false;
  #awaited: ((items: readonly Upload[]) => void)[] = [];

  constructor(desk: Desk, files: Iterable<Blob>, options: QueueOptions) {
    super();
    this.#desk = desk;
    this.#options = options;
    this.#most = options.concurrency ?? MOST;
    this.#turns = new Lanes(options.oneByOne ? 1 : this.#most);
    this.#lanes = options.concurrency ? new Lanes(options.concurrency) : desk.lanes;
    this.#started = options.autoStart !== false;
    this.progress = this.#read();
    hear(this, options);
    this.add(files);
  }

  get paused(): boolean {
    return this.#paused;
  }

  get oneByOne(): boolean {
    return this.#turns.limit === 1;
  }

  set oneByOne(oneByOne: boolean) {
    this.#turns.limit = oneByOne ? 1 : this.#most;
  }

  get done(): Promise<readonly Upload[]> {
    return new Promise((resolve) => (this.#busy ? this.#awaited.push(resolve) : resolve(this.items)));
  }

  add(files: Iterable<Blob>, options: Pick<UploadOptions, "ref" | "metadata" | "name" | "checksum"> = {}): Upload[] {
    const { onProgress: _, ...common } = this.#options;
    const added = [...files].map((file) => {
      const upload = new FileUpload(this.#desk, file, { ...common, ...options, autoStart: false }, this.#turns, this.#lanes);
      upload.addEventListener("state", () => this.#changed(upload));
      upload.addEventListener("progress", () => this.#progress());
      return upload;
    });
    this.items = [...this.items, ...added];
    void this.#check(added);
    this.#changed(null);
    this.#progress();
    for (const upload of added) {
      if (this.#paused) upload.pause();
      if (this.#started) upload.start();
    }
    return added;
  }

  remove(upload: Upload): void {
    upload.cancel();
    this.items = this.items.filter((item) => item !== upload);
    this.#changed(null);
    this.#progress();
  }

  start(): void {
    this.#started = true;
    for (const upload of this.items) upload.start();
  }

  pause(): void {
    this.#paused = true;
    for (const upload of this.items) upload.pause();
    this.#changed(null);
  }

  resume(): void {
    this.#paused = false;
    for (const upload of this.items) upload.resume();
    this.#changed(null);
  }

  cancel(): void {
    for (const upload of this.items) upload.cancel();
  }

  retry(): void {
    for (const upload of this.items) if (upload.state === "failed") void upload.retry();
  }

  /** Refuses at once what the policy refuses, long before its turn comes. */
  async #check(added: FileUpload[]): Promise<void> {
    for (const ref of new Set(added.map(({ ref }) => ref))) {
      const mine = added.filter((upload) => upload.ref === ref);
      try {
        // What is known of the usage may be old; a refusal must not be. Of one file the mint says it as soon.
        const slot = await this.#desk.policies.get(this.#options.slot, ref, mine.length > 1 ? 0 : undefined);
        for (const upload of mine) {
          const refused = refusal(slot, upload);
          if (refused) upload.refuse(refused);
        }
        if (mine.length === 1) continue;
        for (const upload of mine.filter(({ ended }) => !ended).slice(room(slot))) upload.refuse(full(slot));
      } catch {
        // The server will say it all when the turn comes.
      }
    }
  }

  #changed(upload: Upload | null): void {
    this.dispatchEvent(new CustomEvent("state", { detail: upload }));
    const busy = this.items.some(({ ended }) => !ended);
    const done = this.#busy && !busy;
    this.#busy = busy;
    if (!done) return;
    for (const resolve of this.#awaited.splice(0)) resolve(this.items);
    this.dispatchEvent(new CustomEvent("done", { detail: this.items }));
  }

  #read(): Progress {
    const counted = this.items.filter(({ error }) => !error);
    const sum = (of: (upload: Upload) => number) => counted.reduce((total, upload) => total + of(upload), 0);
    const loaded = sum(({ state, progress }) => (state === "hashing" ? 0 : progress.loaded));
    const done = counted.length > 0 && counted.every(({ result }) => result);
    return this.#meter.read(this.#desk.api.transport.now(), loaded, sum(({ size }) => size), done);
  }

  #progress(): void {
    this.progress = this.#read();
    this.dispatchEvent(new CustomEvent("progress", { detail: this.progress }));
  }
}
