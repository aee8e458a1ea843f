/** The uploads of one field, whatever its markup: from what is given to it to what its form waits for. */
import type { Client, CommittedFile, Queue, Slot, Upload } from "../types.js";
import { report } from "./report.js";

/** An upload on the page. */
export interface View {
  /** Shows the upload as it is now. */
  update(): void;
  /** Takes it off the page. */
  remove(): void;
}

/** What is around the uploads. */
export interface Host<Shown extends View> {
  show(upload: Upload): Shown;
  /** The list is another, or `upload` has a new state. */
  changed(upload: Upload | null): void;
  /** Bytes have moved. */
  moved(): void;
  /** Whether uploads begin by themselves, as the page says: anything but `"false"`; nothing: as the slot says. */
  auto(): string | null | undefined;
  /** The slot is known; what was given before is about to be added. */
  ready(slot: Slot): void;
  trouble(error: unknown): void;
}

/** `target` fires the events of the uploads. */
export class Intake<Shown extends View> {
  readonly views = new Map<Upload, Shown>();
  /** Null until the slot is known. */
  queue: Queue | null = null;
  slot: Slot | null = null;
  /** Given before the slot was known. */
  #early: File[] = [];
  #place: unknown[] = [];
  #opening: Promise<void> | null = null;

  constructor(
    readonly target: EventTarget & { disabled: boolean },
    readonly host: Host<Shown>,
  ) {}

  /** In the order they were given. */
  get uploads(): Upload[] {
    return [...this.views.keys()];
  }

  /** The committed files, oldest first. */
  get files(): CommittedFile[] {
    return this.uploads.flatMap(({ result }) => result ?? []);
  }

  /** Whether more files may yet be committed. */
  get coming(): boolean {
    return this.#early.length > 0 || this.uploads.some(({ ended }) => !ended);
  }

  /** Asks for the slot, and uploads to it; where it does so already, it goes on. */
  open(client: Client, name: string, ref: string | undefined): void {
    const place = [client, name, ref];
    if (this.#opening && place.every((part, i) => part === this.#place[i])) return;
    this.close();
    this.#place = place;
    const opening = (this.#opening = client.slot(name, ref).then(
      (slot) => {
        if (opening === this.#opening) this.#begin(client, slot, ref);
      },
      (error: unknown) => {
        if (opening !== this.#opening) return;
        this.#opening = null;
        this.host.trouble(error);
      },
    ));
  }

  /** Drops every upload; what was given too early is kept for the next slot. */
  close(): void {
    for (const upload of this.uploads) this.drop(upload);
    this.#opening = this.queue = this.slot = null;
    this.host.changed(null);
  }

  /** Drops everything. */
  clear(): void {
    this.#early = [];
    for (const upload of this.uploads) this.drop(upload);
    this.host.changed(null);
  }

  /** Uploads files, as soon as it is known where to. A slot for one takes the last of several, as a dialog would have. */
  add(files: Iterable<File>): Upload[] {
    const given = [...files];
    if (this.target.disabled || given.length === 0) return [];
    const single = this.slot?.max_entries === 1;
    if (single) for (const upload of this.uploads) if (!upload.result) this.drop(upload);
    const added = this.queue?.add(single ? given.slice(-1) : given) ?? [];
    if (!this.queue) this.#early.push(...given);
    for (const upload of added) this.#show(upload);
    this.host.changed(null);
    return added;
  }

  drop(upload: Upload): void {
    this.views.get(upload)?.remove();
    this.views.delete(upload);
    this.queue?.remove(upload);
  }

  /** What a submission has to wait for: whether all went well. */
  pending(): Promise<boolean> | null {
    return this.coming ? this.#outcome() : null;
  }

  async #outcome(): Promise<boolean> {
    await this.#opening;
    this.queue?.start();
    await Promise.allSettled(this.uploads.map(({ done }) => done));
    return this.#early.length === 0 && this.uploads.every(({ state }) => state === "committed" || state === "cancelled");
  }

  #begin(client: Client, slot: Slot, ref: string | undefined): void {
    const asked = this.host.auto();
    const autoStart = asked ? asked !== "false" : slot.auto_upload;
    this.slot = slot;
    this.queue = client.queue({ slot: slot.name, autoStart, ...(ref === undefined ? {} : { ref }) });
    this.host.ready(slot);
    this.target.dispatchEvent(new CustomEvent("putgate:ready", { bubbles: true, composed: true, detail: slot }));
    this.add(this.#early.splice(0));
  }

  #show(upload: Upload): void {
    this.views.set(upload, this.host.show(upload));
    const update = () => {
      this.views.get(upload)?.update();
      report(this.target, upload);
    };
    upload.addEventListener("progress", () => {
      update();
      this.host.moved();
    });
    upload.addEventListener("state", () => {
      if (upload.result) this.#makeRoom();
      this.host.changed(upload);
      update();
    });
    update();
  }

  /** In a slot that replaces, the broker has just retired the oldest; so does the list. */
  #makeRoom(): void {
    const { max_entries = 0, on_full } = this.slot ?? {};
    if (on_full !== "replace" && max_entries !== 1) return;
    const committed = this.uploads.filter(({ result }) => result);
    for (const upload of committed.slice(0, Math.max(0, committed.length - max_entries))) this.drop(upload);
  }
}
