/**
 * Uploads for a page with markup of its own, by attributes alone:
 *
 * | attribute | on | does |
 * |---|---|---|
 * | `data-putgate-upload="slot"` | a file input | what is chosen is uploaded; `accept` and `multiple` follow the slot |
 * | `data-putgate-upload-drop="slot"` | anything | takes drops; has the class `upload-dragover` while files hover |
 * | `data-putgate-upload-preview="slot"` | anything | gets an `.upload-preview` per file: picture, name, status, cancel |
 * | `data-putgate-upload-progress="slot"` | `<progress>` | its `value` is 0 to 100 |
 * | | anything else | gets an `.upload-progress-bar[role=progressbar]` |
 * | `data-putgate-auto-upload="false"` | the input | uploads begin when the form is submitted |
 * | `data-putgate-ref` | the input | ties the files to an object of the app |
 * | `data-putgate-endpoint`, `data-putgate-token-url` | the input or anything around it | the broker, and where tokens are had |
 *
 * `-drop`, `-preview`, `-progress` may also be written `data-putgate-drop="slot"` and so on.
 * Hidden inputs, named like the file input, carry the ids of the committed files. The event
 * `putgate:upload:progress` bubbles from the file input.
 */
import { PutgateError } from "../errors.js";
import type { Client, Queue, Slot, Upload } from "../types.js";
import { takeFiles } from "./given.js";
import { Holding } from "./holding.js";
import { report } from "./report.js";
import { LARGEST_THUMB } from "./row.js";
import { acceptOf, clientFor } from "./start.js";
import { fill, strings } from "./strings.js";
import type { Strings } from "./strings.js";
import { problem, status } from "./words.js";

/** For pages that make their own client or speak another language. */
export interface BindOptions {
  client?: Client;
  strings?: Partial<Strings>;
}

/** A file input that uploads. */
export interface Binding {
  readonly input: HTMLInputElement;
  /** Null until the slot is known. */
  readonly queue: Queue | null;
  /** Takes everything off again. */
  release(): void;
}

const bound = new WeakMap<HTMLInputElement, Binding>();

/** Binds every input under `root` that is not bound yet. */
export function bindUploads(root: ParentNode = document, options: BindOptions = {}): Binding[] {
  return [...root.querySelectorAll<HTMLInputElement>("input[type=file][data-putgate-upload]")].map((input) => {
    let binding = bound.get(input);
    if (binding === undefined) {
      binding = new Field(input, options);
      bound.set(input, binding);
    }
    return binding;
  });
}

class Field implements Binding {
  queue: Queue | null = null;
  #slot: Slot | null = null;
  readonly #say: Strings;
  readonly #name: string;
  readonly #undo: (() => void)[] = [];
  readonly #previews = new Map<Upload, HTMLElement[]>();
  readonly #hidden = document.createElement("span");
  readonly #required: boolean;

  constructor(
    readonly input: HTMLInputElement,
    { client, strings: own }: BindOptions,
  ) {
    this.#say = strings(own);
    // The bytes go to storage, not with the form; their ids go under the same name.
    this.#name = input.name;
    this.#required = input.required;
    input.removeAttribute("name");
    this.#hidden.hidden = true;
    input.after(this.#hidden);
    const onChange = () => {
      // What is chosen before the slot is known stays chosen until then.
      if (this.queue === null) return;
      this.add([...(input.files ?? [])]);
      input.value = "";
    };
    input.addEventListener("change", onChange);
    this.#undo.push(() => input.removeEventListener("change", onChange));
    for (const zone of this.#marked("drop")) {
      const over = (hovering: boolean) => zone.classList.toggle("upload-dragover", hovering);
      this.#undo.push(takeFiles(zone, (files) => this.add(files), over));
    }
    if (input.form !== null) {
      const holding = new Holding(input.form, () => this.#pending(), () => undefined);
      const onReset = () => this.#clear();
      const { form } = input;
      form.addEventListener("reset", onReset);
      this.#undo.push(() => holding.release(), () => form.removeEventListener("reset", onReset));
    }
    this.#showTotal();
    void this.#begin(client);
  }

  add(files: File[]): void {
    const queue = this.queue;
    if (queue === null || this.input.disabled || files.length === 0) return;
    const single = this.#slot?.max_entries === 1;
    if (single) for (const upload of this.#previews.keys()) if (upload.result === null) this.#drop(upload);
    for (const upload of queue.add(single ? files.slice(-1) : files)) this.#show(upload);
    this.#fields();
    this.#showTotal();
  }

  release(): void {
    for (const undo of this.#undo.splice(0)) undo();
    this.#clear();
    this.#hidden.remove();
    if (this.#name !== "") this.input.name = this.#name;
    this.input.required = this.#required;
    bound.delete(this.input);
  }

  async #begin(given: Client | undefined): Promise<void> {
    const { input } = this;
    const slotName = input.dataset["putgateUpload"] ?? "";
    const ref = input.dataset["putgateRef"];
    try {
      const client = given ?? clientOf(input);
      const slot = await client.slot(slotName, ref);
      this.#slot = slot;
      if (slot.accept.length > 0) input.accept = acceptOf(slot);
      input.multiple = slot.max_entries > 1;
      const auto = input.dataset["putgateAutoUpload"] ?? input.dataset["putgateUploadAutoUpload"];
      const autoStart = auto === undefined ? slot.auto_upload : auto !== "false";
      this.queue = client.queue({ slot: slot.name, autoStart, ...(ref === undefined ? {} : { ref }) });
      this.queue.addEventListener("progress", () => this.#showTotal());
      input.dispatchEvent(new CustomEvent("putgate:ready", { bubbles: true, detail: slot }));
      // What was chosen while the slot was asked for.
      this.add([...(input.files ?? [])]);
      input.value = "";
    } catch (error) {
      const words = error instanceof PutgateError ? problem(error, this.#say) : String(error);
      for (const zone of this.#marked("preview")) zone.replaceChildren(alert(words));
      input.dispatchEvent(new CustomEvent("putgate:upload:error", { bubbles: true, detail: error }));
    }
  }

  /** The elements that are marked for this input's slot. */
  #marked(part: "drop" | "preview" | "progress"): HTMLElement[] {
    const slot = CSS.escape(this.input.dataset["putgateUpload"] ?? "");
    const scope = this.input.form ?? document;
    const selector = `[data-putgate-upload-${part}="${slot}"], [data-putgate-${part}="${slot}"]`;
    const inForm = [...scope.querySelectorAll<HTMLElement>(selector)];
    // The drop zone may lie around the form.
    return inForm.length > 0 ? inForm : [...document.querySelectorAll<HTMLElement>(selector)];
  }

  #pending(): Promise<boolean> | null {
    const under = [...this.#previews.keys()].filter((upload) => !upload.ended);
    if (under.length === 0) return null;
    this.queue?.start();
    return Promise.allSettled(under.map((upload) => upload.done)).then(() =>
      [...this.#previews.keys()].every(({ state }) => state === "committed" || state === "cancelled"),
    );
  }

  #show(upload: Upload): void {
    if (this.#previews.has(upload)) return;
    const cards = this.#marked("preview").map((zone) => {
      const card = this.#card(upload);
      zone.append(card);
      return card;
    });
    this.#previews.set(upload, cards);
    const update = () => {
      for (const card of cards) paint(card, upload, this.#say);
      report(this.input, upload);
      this.#showTotal();
    };
    upload.addEventListener("progress", update);
    upload.addEventListener("state", () => {
      if (upload.state === "committed") this.#makeRoom();
      this.#fields();
      update();
    });
    // One that was refused before it began has no events to come.
    update();
  }

  #card(upload: Upload): HTMLElement {
    const card = element("div", "upload-preview");
    if (upload.type.startsWith("image/") && upload.size <= LARGEST_THUMB) {
      const image = new Image();
      image.className = "upload-preview-image";
      image.alt = "";
      // One that the browser cannot show would only show that.
      image.addEventListener("error", () => image.remove());
      image.src = URL.createObjectURL(upload.file);
      card.append(image);
    }
    const name = element("span", "upload-preview-name", upload.name);
    name.dir = "auto";
    const cancel = element("button", "upload-preview-cancel", this.#say.cancel);
    cancel.type = "button";
    cancel.setAttribute("aria-label", fill(this.#say.actionOf, { action: this.#say.cancel, name: upload.name }));
    cancel.addEventListener("click", () => {
      if (upload.ended) this.#drop(upload);
      else upload.cancel();
    });
    const words = element("span", "upload-preview-status");
    words.setAttribute("role", "status");
    card.append(name, words, cancel);
    paint(card, upload, this.#say);
    return card;
  }

  #drop(upload: Upload): void {
    for (const card of this.#previews.get(upload) ?? []) {
      const source = card.querySelector("img")?.src;
      if (source !== undefined) URL.revokeObjectURL(source);
      card.remove();
    }
    this.#previews.delete(upload);
    this.queue?.remove(upload);
    this.#fields();
    this.#showTotal();
  }

  #clear(): void {
    for (const upload of [...this.#previews.keys()]) this.#drop(upload);
  }

  #makeRoom(): void {
    const most = this.#slot?.max_entries ?? Infinity;
    const committed = [...this.#previews.keys()].filter(({ state }) => state === "committed");
    for (const upload of committed.slice(0, Math.max(0, committed.length - most))) this.#drop(upload);
  }

  #fields(): void {
    // The input itself is always empty: what counts is what is on its way, or here.
    const some = [...this.#previews.keys()].some((upload) => !upload.ended || upload.result !== null);
    this.input.required = this.#required && !some;
    const ids = [...this.#previews.keys()].flatMap(({ result }) => (result === null ? [] : [result.id]));
    this.#hidden.replaceChildren(
      ...(this.#name === "" ? [] : ids).map((id) => {
        const field = document.createElement("input");
        field.type = "hidden";
        field.name = this.#name;
        field.value = id;
        return field;
      }),
    );
  }

  #showTotal(): void {
    const percent = this.queue?.progress.percent ?? 0;
    for (const place of this.#marked("progress")) {
      if (place instanceof HTMLProgressElement) {
        place.max = 100;
        place.value = percent;
        continue;
      }
      let bar = place.querySelector<HTMLElement>(".upload-progress-bar");
      if (bar === null) {
        bar = element("div", "upload-progress-bar");
        bar.setAttribute("role", "progressbar");
        bar.setAttribute("aria-valuemin", "0");
        bar.setAttribute("aria-valuemax", "100");
        bar.setAttribute("aria-label", place.getAttribute("aria-label") ?? fill(this.#say.progressOf, { name: this.input.dataset["putgateUpload"] ?? "" }));
        place.append(bar);
      }
      bar.setAttribute("aria-valuenow", String(percent));
      bar.style.inlineSize = `${percent}%`;
    }
  }
}

function clientOf(input: HTMLInputElement): Client {
  const tokenUrl = input.closest<HTMLElement>("[data-putgate-token-url]")?.dataset["putgateTokenUrl"];
  if (tokenUrl === undefined) throw new Error("data-putgate-token-url is missing: where does this page get its tokens?");
  return clientFor(input.closest<HTMLElement>("[data-putgate-endpoint]")?.dataset["putgateEndpoint"] ?? "", tokenUrl);
}

function paint(card: HTMLElement, upload: Upload, say: Strings): void {
  card.dataset["uploadState"] = upload.state;
  card.dataset["uploadRef"] = upload.id;
  const words = card.querySelector<HTMLElement>(".upload-preview-status");
  const text = status(upload, say);
  // Percentages would be read aloud one by one.
  if (words !== null && words.textContent !== text) words.textContent = text;
  words?.setAttribute("aria-live", upload.ended ? "polite" : "off");
  const button = card.querySelector<HTMLElement>(".upload-preview-cancel");
  if (button !== null && upload.ended) {
    button.textContent = say.remove;
    button.setAttribute("aria-label", fill(say.actionOf, { action: say.remove, name: upload.name }));
  }
}

function alert(words: string): HTMLElement {
  const place = element("p", "upload-error", words);
  place.setAttribute("role", "alert");
  return place;
}

function element<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, name: string, text = ""): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  made.className = name;
  if (text !== "") made.textContent = text;
  return made;
}
