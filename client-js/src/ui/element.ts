/** `<putgate-upload>`: a form field whose value is the ids of the files that were uploaded with it. */
import { PutgateError } from "../errors.js";
import type { Client, CommittedFile, Queue, Slot, Upload } from "../types.js";
import { takeFiles } from "./given.js";
import { Bar, make, Row } from "./row.js";
import { acceptOf, clientFor } from "./start.js";
import { fill, strings } from "./strings.js";
import type { Strings } from "./strings.js";
import { style } from "./style.js";
import { bytes, problem, status, timeLeft } from "./words.js";
import { Holding } from "./holding.js";
import { report } from "./report.js";

/** Where there is no DOM (a server that renders), the class can be imported but not used. */
const Element = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

let sheet: CSSStyleSheet | undefined;

/**
 * | attribute | meaning |
 * |---|---|
 * | `upload-slot` | the slot |
 * | `name` | the form field; each committed file's id is a value of it |
 * | `ref` | ties the files to an object of the app |
 * | `endpoint`, `token-url` | the broker, and where a token is had; or those of an element around it, as `data-putgate-…`; or set `client` |
 * | `auto-upload` | `"false"`: uploads begin when the form is submitted, or with the button. Default: as the slot says |
 * | `one-by-one` | one file after another |
 * | `directory` | the dialog picks folders |
 * | `required`, `disabled` | as on any field |
 *
 * Fires `change` when its value changes, and `putgate:upload:progress` for every upload.
 */
export class PutgateUpload extends Element {
  static readonly formAssociated = true;
  static readonly observedAttributes = ["upload-slot", "ref", "endpoint", "token-url", "disabled", "required", "one-by-one"];

  readonly #internals = this.attachInternals();
  readonly #root = this.attachShadow({ mode: "open", delegatesFocus: true });
  readonly #input = make("input", "input");
  readonly #label = make("label", "choose");
  readonly #hint = make("span", "hint");
  readonly #rules = make("p", "rules");
  readonly #zone = make("div", "drop");
  readonly #trouble = make("p", "trouble");
  readonly #total = make("div", "total");
  readonly #totalWords = make("span", "total-words");
  readonly #start = make("button", "primary");
  readonly #list = make("ul", "list");
  readonly #live = make("p", "unseen");
  #totalBar = new Bar("");
  #rows = new Map<Upload, Row>();
  #own: Client | null = null;
  #client: Client | null = null;
  #queue: Queue | null = null;
  #slot: Slot | null = null;
  #strings: Strings = strings();
  #holding: Holding | null = null;
  #undo: (() => void) | null = null;
  /** Counts connections, so that what an earlier one asked for is dropped. */
  #turn = 0;
  #ids = "";

  constructor() {
    super();
    this.#input.type = "file";
    this.#input.id = "file";
    this.#label.htmlFor = "file";
    this.#start.type = "button";
    this.#start.setAttribute("part", "button start");
    this.#start.hidden = true;
    this.#total.hidden = true;
    this.#trouble.hidden = true;
    this.#trouble.setAttribute("role", "alert");
    this.#live.setAttribute("role", "status");
    this.#zone.append(this.#input, this.#label, this.#hint, this.#rules);
    this.#root.append(this.#zone, this.#trouble, this.#total, this.#list, this.#live);
    this.#input.addEventListener("change", () => this.#take());
    this.#start.addEventListener("click", () => this.start());
  }

  /** The client, for pages that make their own. */
  get client(): Client | null {
    return this.#client;
  }
  set client(client: Client | null) {
    this.#own = client;
    this.#connect();
  }

  /** The words; a page gives those that it wants otherwise. */
  get strings(): Strings {
    return this.#strings;
  }
  set strings(own: Partial<Strings>) {
    this.#strings = strings(own);
    for (const [upload, row] of this.#rows) {
      row.remove();
      this.#rows.set(upload, this.#newRow(upload));
    }
    this.#list.replaceChildren(...[...this.#rows.values()].map((row) => row.element));
    this.#words();
  }

  /** The committed files, oldest first. */
  get files(): CommittedFile[] {
    return [...this.#rows.keys()].flatMap(({ result }) => (result === null ? [] : [result]));
  }

  /** Their ids. */
  get value(): string[] {
    return this.files.map((file) => file.id);
  }

  /** The uploads, in the order they were chosen. */
  get uploads(): Upload[] {
    return [...this.#rows.keys()];
  }

  get form(): HTMLFormElement | null {
    return this.#internals.form;
  }
  get name(): string {
    return this.getAttribute("name") ?? "";
  }
  set name(name: string) {
    this.setAttribute("name", name);
  }
  get required(): boolean {
    return this.hasAttribute("required");
  }
  set required(required: boolean) {
    this.toggleAttribute("required", required);
  }
  get disabled(): boolean {
    return this.#input.disabled;
  }
  set disabled(disabled: boolean) {
    this.toggleAttribute("disabled", disabled);
  }
  get type(): string {
    return this.localName;
  }
  get validity(): ValidityState {
    return this.#internals.validity;
  }
  get validationMessage(): string {
    return this.#internals.validationMessage;
  }
  get willValidate(): boolean {
    return this.#internals.willValidate;
  }
  checkValidity(): boolean {
    return this.#internals.checkValidity();
  }
  reportValidity(): boolean {
    return this.#internals.reportValidity();
  }

  /** Uploads files as if they had been chosen. */
  add(files: Iterable<File>): Upload[] {
    const queue = this.#queue;
    let given = [...files];
    if (queue === null || this.disabled || given.length === 0) return [];
    // A slot for one file takes the last of several, as a dialog would have.
    if (this.#slot?.max_entries === 1) {
      given = given.slice(-1);
      for (const [upload, row] of this.#rows) {
        if (upload.result === null) this.#drop(upload, row);
      }
    }
    const added = queue.add(given);
    for (const upload of added) {
      if (this.#rows.has(upload)) continue;
      const row = this.#newRow(upload);
      this.#rows.set(upload, row);
      this.#list.append(row.element);
    }
    this.#changed();
    return added;
  }

  /** What is chosen before the slot is known stays chosen until then. */
  #take(): void {
    if (this.#queue === null) return;
    this.add(this.#input.files ?? []);
    // The same file can be chosen again.
    this.#input.value = "";
  }

  /** Begins what waits for it. */
  start(): void {
    this.#queue?.start();
  }

  connectedCallback(): void {
    sheet ??= new CSSStyleSheet();
    if (sheet.cssRules.length === 0) sheet.replaceSync(style);
    this.#root.adoptedStyleSheets = [sheet];
    this.#undo = takeFiles(
      this,
      (files) => this.add(files),
      (over) => {
        this.#zone.classList.toggle("over", over && !this.disabled);
        this.#zone.setAttribute("part", over && !this.disabled ? "drop over" : "drop");
      },
    );
    this.#words();
    this.#connect();
  }

  disconnectedCallback(): void {
    this.#undo?.();
    this.#undo = null;
    this.#turn += 1;
    // Moved within the page it is back by now; gone from it, nobody would see its uploads end.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#clear();
      this.#queue = null;
      this.#client = null;
    });
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after) return;
    if (name === "disabled") this.formDisabledCallback(after !== null);
    else if (name === "required") this.#changed();
    else if (name === "one-by-one") {
      if (this.#queue !== null) this.#queue.oneByOne = after !== null;
    } else this.#connect();
  }

  formAssociatedCallback(form: HTMLFormElement | null): void {
    this.#holding?.release();
    this.#holding = form === null ? null : new Holding(form, () => this.#pending(), () => this.#announce(this.#strings.unfinished));
  }

  formDisabledCallback(disabled: boolean): void {
    this.#input.disabled = disabled;
    this.#start.disabled = disabled;
  }

  formResetCallback(): void {
    this.#clear();
    this.#changed();
  }

  /** What a submission has to wait for. */
  #pending(): Promise<boolean> | null {
    const under = this.uploads.filter((upload) => !upload.ended);
    if (under.length === 0) return null;
    this.#queue?.start();
    return Promise.allSettled(under.map((upload) => upload.done)).then(() => {
      const failed = [...this.#rows].find(([{ state }]) => state === "failed" || state === "rejected");
      failed?.[1].focus();
      return failed === undefined;
    });
  }

  /** Makes the queue anew when the slot, the ref or the client is another one. */
  #connect(): void {
    const slotName = this.getAttribute("upload-slot");
    if (!this.isConnected || slotName === null || slotName === "") return;
    const client = this.#own ?? this.#fromAttributes();
    if (client === null) return;
    this.#client = client;
    this.#clear();
    this.#slot = null;
    this.#queue = null;
    const turn = ++this.#turn;
    const ref = this.getAttribute("ref") ?? undefined;
    this.#trouble.hidden = true;
    client.slot(slotName, ref).then(
      (slot) => {
        if (turn === this.#turn) this.#ready(client, slot, ref);
      },
      (error: unknown) => {
        if (turn === this.#turn) this.#inTrouble(error);
      },
    );
  }

  #fromAttributes(): Client | null {
    const around = this.closest<HTMLElement>("[data-putgate-token-url]");
    const tokenUrl = this.getAttribute("token-url") ?? around?.dataset["putgateTokenUrl"];
    if (tokenUrl === undefined || tokenUrl === null) return null;
    const above = this.closest<HTMLElement>("[data-putgate-endpoint]");
    return clientFor(this.getAttribute("endpoint") ?? above?.dataset["putgateEndpoint"] ?? "", tokenUrl);
  }

  #ready(client: Client, slot: Slot, ref: string | undefined): void {
    this.#slot = slot;
    this.#input.accept = acceptOf(slot);
    this.#input.multiple = slot.max_entries > 1;
    this.#input.webkitdirectory = this.hasAttribute("directory");
    const asked = this.getAttribute("auto-upload");
    const autoStart = asked === null ? slot.auto_upload : asked !== "false";
    const queue = client.queue({
      slot: slot.name,
      autoStart,
      oneByOne: this.hasAttribute("one-by-one"),
      ...(ref === undefined ? {} : { ref }),
    });
    this.#queue = queue;
    queue.addEventListener("progress", () => this.#showTotal());
    queue.addEventListener("state", () => this.#showTotal());
    queue.addEventListener("done", () => this.#showTotal());
    this.#words();
    this.#changed();
    this.#take();
    this.dispatchEvent(new CustomEvent("putgate:ready", { bubbles: true, composed: true, detail: slot }));
  }

  #inTrouble(error: unknown): void {
    const words = error instanceof PutgateError ? problem(error, this.#strings) : String(error);
    const again = make("button", "small", this.#strings.retry);
    again.type = "button";
    again.addEventListener("click", () => this.#connect());
    this.#trouble.replaceChildren(words, again);
    this.#trouble.hidden = false;
  }

  #newRow(upload: Upload): Row {
    const row = new Row(upload, this.#strings, (action, row) => {
      if (action === "remove") this.#remove(upload, row);
      else if (action === "retry") void upload.retry().catch(() => undefined);
      else upload[action]();
    });
    if (!this.#rows.has(upload)) this.#listen(upload);
    return row;
  }

  #listen(upload: Upload): void {
    upload.addEventListener("progress", () => {
      this.#rows.get(upload)?.update();
      report(this, upload);
    });
    upload.addEventListener("state", () => {
      this.#rows.get(upload)?.update();
      report(this, upload);
      if (upload.ended) {
        this.#announce(fill(this.#strings.announce, { name: upload.name, news: status(upload, this.#strings) }));
        if (upload.state === "committed") this.#makeRoom();
        this.#changed();
      }
    });
  }

  /** In a slot that replaces, the broker has just retired the oldest; so does the list. */
  #makeRoom(): void {
    if (this.#slot === null || (this.#slot.on_full !== "replace" && this.#slot.max_entries !== 1)) return;
    const committed = [...this.#rows].filter(([upload]) => upload.state === "committed");
    for (const [upload, row] of committed.slice(0, Math.max(0, committed.length - this.#slot.max_entries))) {
      this.#drop(upload, row);
    }
  }

  #remove(upload: Upload, row: Row): void {
    const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
    this.#drop(upload, row);
    const neighbour = [...this.#rows.values()].find(({ element }) => element === next);
    if (neighbour === undefined) this.#input.focus();
    else neighbour.focus();
    this.#changed();
  }

  #drop(upload: Upload, row: Row): void {
    row.remove();
    this.#rows.delete(upload);
    this.#queue?.remove(upload);
  }

  #clear(): void {
    for (const [upload, row] of this.#rows) this.#drop(upload, row);
  }

  /** Tells the form, and the page if the value is another one. */
  #changed(): void {
    const ids = this.value;
    const data = new FormData();
    for (const id of ids) data.append(this.name, id);
    this.#internals.setFormValue(this.name === "" || ids.length === 0 ? null : data);
    const coming = this.uploads.some((upload) => !upload.ended);
    if (this.required && ids.length === 0 && !coming) {
      this.#internals.setValidity({ valueMissing: true }, this.#strings.required, this.#input);
    } else {
      this.#internals.setValidity({});
    }
    this.#words();
    this.#showTotal();
    if (ids.join() === this.#ids) return;
    this.#ids = ids.join();
    this.dispatchEvent(new Event("change", { bubbles: true }));
  }

  #words(): void {
    const say = this.#strings;
    const slot = this.#slot;
    const single = slot?.max_entries === 1;
    const replaces = single && this.files.length > 0;
    this.#label.textContent = replaces ? say.replace : slot !== null && !single ? say.chooseMany : say.choose;
    this.#hint.textContent = say.drop;
    this.#start.textContent = say.start;
    this.#rules.hidden = slot === null;
    if (slot !== null) {
      const facts = { size: bytes(slot.max_file_size), count: slot.max_entries };
      this.#rules.textContent = fill(single ? say.rules : say.rulesMany, facts);
    }
  }

  #showTotal(): void {
    const say = this.#strings;
    const uploads = this.uploads;
    const waiting = uploads.some((upload) => upload.waitingFor === "start");
    this.#start.hidden = !waiting;
    const several = uploads.length > 1 && uploads.some((upload) => !upload.ended);
    this.#total.hidden = !several && !waiting;
    if (this.#queue === null || this.#total.hidden) return;
    const { percent, speed, timeLeft: left } = this.#queue.progress;
    const pace = speed === null ? "" : `, ${bytes(speed)}/s${left === null ? "" : `, ${timeLeft(left, say)}`}`;
    const done = uploads.filter((upload) => upload.state === "committed").length;
    const words = fill(say.total, { done, count: uploads.length, percent, speed: pace });
    this.#totalWords.textContent = several ? words : "";
    this.#totalBar.show(percent);
    this.#totalBar.element.setAttribute("aria-label", fill(say.total, { done, count: uploads.length, percent, speed: "" }));
    this.#totalBar.element.hidden = !several;
    if (this.#total.childElementCount === 0) {
      this.#totalBar.element.setAttribute("part", "bar total-bar");
      this.#total.append(this.#totalWords, this.#start, this.#totalBar.element);
    }
  }

  #announce(words: string): void {
    this.#live.textContent = words;
  }
}

/** Registers the element, once. */
export function defineElement(name = "putgate-upload"): void {
  if (globalThis.customElements !== undefined && customElements.get(name) === undefined) {
    customElements.define(name, PutgateUpload);
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "putgate-upload": PutgateUpload;
  }
}
