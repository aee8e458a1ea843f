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
import type { Client, Queue, Upload } from "../types.js";
import { takeFiles } from "./given.js";
import { Holding } from "./holding.js";
import { Intake } from "./intake.js";
import type { View } from "./intake.js";
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
  readonly #intake: Intake<View>;
  readonly #say: Strings;
  readonly #name: string;
  readonly #undo: (() => void)[] = [];
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
    this.#intake = new Intake(input, {
      show: (upload) => this.#show(upload),
      changed: () => this.#changed(),
      moved: () => this.#showTotal(),
      auto: () => input.dataset["putgateAutoUpload"] ?? input.dataset["putgateUploadAutoUpload"],
      ready: (slot) => {
        if (slot.accept.length > 0) input.accept = acceptOf(slot);
        input.multiple = slot.max_entries > 1;
      },
      trouble: (error) => this.#trouble(error),
    });
    const take = () => {
      this.#intake.add(input.files ?? []);
      input.value = "";
    };
    input.addEventListener("change", take);
    this.#undo.push(() => input.removeEventListener("change", take));
    for (const zone of this.#marked("drop")) {
      const over = (hovering: boolean) => zone.classList.toggle("upload-dragover", hovering);
      this.#undo.push(takeFiles(zone, (files) => this.#intake.add(files), over));
    }
    if (input.form !== null) {
      const holding = new Holding(input.form, () => this.#intake.pending(), () => undefined);
      const onReset = () => this.#intake.clear();
      const { form } = input;
      form.addEventListener("reset", onReset);
      this.#undo.push(() => holding.release(), () => form.removeEventListener("reset", onReset));
    }
    this.#changed();
    // What was chosen before this script came.
    take();
    try {
      this.#intake.open(client ?? clientOf(input), input.dataset["putgateUpload"] ?? "", input.dataset["putgateRef"]);
    } catch (error) {
      this.#trouble(error);
    }
  }

  get queue(): Queue | null {
    return this.#intake.queue;
  }

  release(): void {
    for (const undo of this.#undo.splice(0)) undo();
    this.#intake.close();
    this.#hidden.remove();
    if (this.#name !== "") this.input.name = this.#name;
    this.input.required = this.#required;
    bound.delete(this.input);
  }

  #trouble(error: unknown): void {
    const words = error instanceof PutgateError ? problem(error, this.#say) : String(error);
    for (const zone of this.#marked("preview")) zone.replaceChildren(alert(words));
    this.input.dispatchEvent(new CustomEvent("putgate:upload:error", { bubbles: true, detail: error }));
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

  #show(upload: Upload): View {
    const cards = this.#marked("preview").map((zone) => {
      const card = this.#card(upload);
      zone.append(card);
      return card;
    });
    return {
      update: () => cards.forEach((card) => paint(card, upload, this.#say)),
      remove: () =>
        cards.forEach((card) => {
          URL.revokeObjectURL(card.querySelector("img")?.src ?? "");
          card.remove();
        }),
    };
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
      if (!upload.ended) return upload.cancel();
      this.#intake.drop(upload);
      this.#changed();
    });
    const words = element("span", "upload-preview-status");
    words.setAttribute("role", "status");
    // The words change all the time: before the button they would move it from under the finger.
    card.append(name, cancel, words);
    return card;
  }

  #changed(): void {
    const { files, coming } = this.#intake;
    // The input itself is always empty: what counts is what is on its way, or here.
    this.input.required = this.#required && files.length === 0 && !coming;
    this.#hidden.replaceChildren(
      ...(this.#name === "" ? [] : files).map(({ id }) => {
        const field = document.createElement("input");
        field.type = "hidden";
        field.name = this.#name;
        field.value = id;
        return field;
      }),
    );
    this.#showTotal();
  }

  #showTotal(): void {
    const percent = this.#intake.queue?.progress.percent ?? 0;
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
