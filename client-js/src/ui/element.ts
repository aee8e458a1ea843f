/** `<putgate-upload>`: a form field whose value is the ids of the files that were uploaded with it. */
import { PutgateError } from "../errors.js";
import type { Client, CommittedFile, Slot, Upload } from "../types.js";
import { takeFiles } from "./given.js";
import { Bar, make, Row } from "./row.js";
import { acceptOf, clientFor } from "./start.js";
import { fill, strings } from "./strings.js";
import type { Strings } from "./strings.js";
import { style } from "./style.js";
import { bytes, problem, status, timeLeft } from "./words.js";
import { Holding } from "./holding.js";
import { Intake } from "./intake.js";

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
  readonly #intake = new Intake<Row>(this, {
    show: (upload) => this.#newRow(upload),
    changed: (upload) => this.#changed(upload),
    moved: () => this.#showTotal(),
    auto: () => this.getAttribute("auto-upload"),
    ready: (slot) => this.#ready(slot),
    trouble: (error) => this.#inTrouble(error),
  });
  #own: Client | null = null;
  #client: Client | null = null;
  #strings: Strings = strings();
  #holding: Holding | null = null;
  #undo: (() => void) | null = null;
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
    this.#input.addEventListener("change", () => {
      this.add(this.#input.files ?? []);
      // The same file can be chosen again.
      this.#input.value = "";
    });
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
    for (const [upload, row] of this.#intake.views) {
      row.remove();
      this.#intake.views.set(upload, this.#newRow(upload));
    }
    this.#words();
  }

  /** The committed files, oldest first. */
  get files(): CommittedFile[] {
    return this.#intake.files;
  }

  /** Their ids. */
  get value(): string[] {
    return this.files.map((file) => file.id);
  }

  /** The uploads, in the order they were chosen. */
  get uploads(): Upload[] {
    return this.#intake.uploads;
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

  /** Uploads files as if they had been chosen. Answers none while the slot is not known; they are kept until then. */
  add(files: Iterable<File>): Upload[] {
    return this.#intake.add(files);
  }

  /** Begins what waits for it. */
  start(): void {
    this.#intake.queue?.start();
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
    // Moved within the page it is back by now; gone from it, nobody would see its uploads end.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#intake.close();
      this.#client = null;
    });
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after) return;
    if (name === "disabled") this.formDisabledCallback(after !== null);
    else if (name === "required") this.#changed(null);
    else if (name === "one-by-one") this.#oneByOne();
    else this.#connect();
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
    this.#intake.clear();
  }

  /** What a submission has to wait for. */
  #pending(): Promise<boolean> | null {
    const outcome = this.#intake.pending();
    void outcome?.then((well) => {
      if (!well) this.#rowOf(({ upload: { state } }) => state === "failed" || state === "rejected")?.focus();
    });
    return outcome;
  }

  #rowOf(wanted: (row: Row) => boolean): Row | undefined {
    return [...this.#intake.views.values()].find(wanted);
  }

  /** Makes the queue anew when the slot, the ref or the client is another one. */
  #connect(): void {
    const slotName = this.getAttribute("upload-slot");
    if (!this.isConnected || slotName === null || slotName === "") return;
    const client = this.#own ?? this.#fromAttributes();
    if (client === null) return;
    this.#client = client;
    this.#trouble.hidden = true;
    this.#intake.open(client, slotName, this.getAttribute("ref") ?? undefined);
  }

  #fromAttributes(): Client | null {
    const around = this.closest<HTMLElement>("[data-putgate-token-url]");
    const tokenUrl = this.getAttribute("token-url") ?? around?.dataset["putgateTokenUrl"];
    if (tokenUrl === undefined || tokenUrl === null) return null;
    const above = this.closest<HTMLElement>("[data-putgate-endpoint]");
    return clientFor(this.getAttribute("endpoint") ?? above?.dataset["putgateEndpoint"] ?? "", tokenUrl);
  }

  #ready(slot: Slot): void {
    this.#input.accept = acceptOf(slot);
    this.#input.multiple = slot.max_entries > 1;
    this.#input.webkitdirectory = this.hasAttribute("directory");
    this.#oneByOne();
    this.#words();
  }

  #oneByOne(): void {
    const { queue } = this.#intake;
    if (queue) queue.oneByOne = this.hasAttribute("one-by-one");
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
    this.#list.append(row.element);
    return row;
  }

  #remove(upload: Upload, row: Row): void {
    const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
    this.#intake.drop(upload);
    (this.#rowOf(({ element }) => element === next) ?? this.#input).focus();
    this.#changed(null);
  }

  /** Tells the form, and the page if the value is another one. */
  #changed(upload: Upload | null): void {
    const say = this.#strings;
    if (upload?.ended) this.#announce(fill(say.announce, { name: upload.name, news: status(upload, say) }));
    const ids = this.value;
    const data = new FormData();
    for (const id of ids) data.append(this.name, id);
    this.#internals.setFormValue(this.name === "" || ids.length === 0 ? null : data);
    if (this.required && ids.length === 0 && !this.#intake.coming) {
      this.#internals.setValidity({ valueMissing: true }, say.required, this.#input);
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
    const { slot } = this.#intake;
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
    const { uploads, queue } = this.#intake;
    const waiting = uploads.some((upload) => upload.waitingFor === "start");
    this.#start.hidden = !waiting;
    const several = uploads.length > 1 && uploads.some((upload) => !upload.ended);
    this.#total.hidden = !several && !waiting;
    if (queue === null || this.#total.hidden) return;
    const { percent, speed, timeLeft: left } = queue.progress;
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
