// What the demo's pages share. All text that a person or a file brought goes in as text, never as markup.
import { createClient } from "/client/putgate-client.js";

const PAGE = 12;

/** Who the visitor is: `?sub=` lets one machine play several people. */
export const tokenUrl = `/dev/token?${new URLSearchParams({
  sub: new URLSearchParams(location.search).get("sub") ?? "demo",
  scope: "upload read delete",
})}`;

export const client = createClient({
  // The API's address, where it is not the page's own.
  endpoint: document.documentElement.dataset.api ?? "",
  token: async () => {
    const response = await fetch(tokenUrl, { cache: "no-store" });
    if (!response.ok) throw new Error(`The demo token was refused (${response.status}).`);
    return (await response.json()).token;
  },
});

// Who one is goes along from page to page.
for (const link of document.querySelectorAll(".pages a")) link.search = location.search;

export const at = (id) => document.getElementById(id);

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit > 0 && value < 9.95 ? 1 : 0).replace(/\.0$/, "")} ${units[unit]}`;
}

const list = (items, word) => new Intl.ListFormat("en", { type: word }).format(items);
const WILDCARDS = { "image/*": "any image", "video/*": "any video", "audio/*": "any audio", "text/*": "any text" };
const plainType = (item) => WILDCARDS[item] ?? (item.startsWith(".") ? item.slice(1).toUpperCase() : item);

/** A slot's policy in a sentence. */
export function rulesInWords({ accept = [], max_file_size, max_entries, on_full, image, quota }) {
  const what = accept.length === 0 ? "Files of any type" : `Takes ${list(accept.map(plainType), "disjunction")}`;
  const count = max_entries === 1 ? "one file" : `${max_entries} files`;
  const old = max_entries === 1 ? "it" : "the oldest";
  const full = on_full === "replace" ? `a new one replaces ${old}` : "a full slot takes no more";
  const sides = image?.max_width && image?.max_height ? `, ${image.max_width} × ${image.max_height} pixels` : "";
  const all = quota ? ` and ${bytes(quota)} in all` : "";
  return `${what}, up to ${bytes(max_file_size)}${sides}${max_entries === 1 ? "" : " each"}. Room for ${count}${all}; ${full}.`;
}

/** What went wrong: the sentence, then the code and reason that programs branch on. */
export function reasonInWords(error) {
  if (error.detail === undefined) return error.message;
  const sentence = error.detail.replace(/^[a-z](?=[a-z]*[ ,])/, (letter) => letter.toUpperCase());
  return `${sentence.replace(/\.?$/, ".")} (${[error.code, error.reason].filter(Boolean).join(": ")})`;
}

/** Where an upload is, in words. */
export function statusInWords(upload) {
  const { percent } = upload.progress;
  switch (upload.state) {
    case "waiting":
      if (upload.paused) return `Paused at ${percent} %`;
      return { network: "Waiting for the network", "other-tab": "Another tab is uploading this file" }[upload.waitingFor] ?? "Waiting";
    case "hashing": return "Reading the file";
    case "uploading": return `Uploading, ${percent} %`;
    case "verifying": return "Verifying: the server reads what arrived";
    case "committed": return `Committed as ${upload.result.type}`;
    case "rejected": return "Refused";
    case "cancelled": return "Cancelled";
    case "failed": return "Failed";
  }
}

export function timeLeft(seconds) {
  if (seconds === null) return "–";
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export function say(sentence) {
  at("live").textContent = sentence;
}

export function trouble(error) {
  at("trouble").textContent = reasonInWords(error);
  at("trouble").hidden = false;
}

export function element(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Shows a bar's percent to eyes and ears. */
export function meter(bar, percent) {
  bar.setAttribute("aria-valuenow", percent);
  bar.firstElementChild.style.inlineSize = `${percent}%`;
}

// A file that misses its zone must not replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

/** The committed files of a slot, newest first, a page at a time. */
export class Gallery {
  #cursor = null;
  /** Counts loads, so that an answer to an earlier question is dropped. */
  #load = 0;

  constructor(slotName, { pictures = false } = {}) {
    this.slotName = slotName;
    this.pictures = pictures;
    at("more").addEventListener("click", () => this.#more());
  }

  /** Answers the slot, or null in trouble. */
  async refresh() {
    const turn = ++this.#load;
    at("gallery").ariaBusy = "true";
    try {
      const [page, slot] = await Promise.all([
        client.files({ slot: this.slotName, limit: PAGE }),
        client.slot(this.slotName),
      ]);
      if (turn !== this.#load) return slot;
      // What is shown already stays, and keeps its focus and its loaded picture.
      const shown = new Map([...at("gallery").children].map((node) => [node.dataset.id, node]));
      at("gallery").replaceChildren(...page.files.map((file) => shown.get(file.id) ?? this.#item(file)));
      this.#paged(page);
      this.#counted(slot);
      at("trouble").hidden = true;
      return slot;
    } catch (error) {
      if (turn === this.#load) trouble(error);
      return null;
    } finally {
      if (turn === this.#load) at("gallery").ariaBusy = "false";
    }
  }

  async #more() {
    const turn = this.#load;
    at("more").disabled = true;
    try {
      const page = await client.files({ slot: this.slotName, limit: PAGE, cursor: this.#cursor });
      if (turn !== this.#load) return;
      const items = page.files.map((file) => this.#item(file));
      at("gallery").append(...items);
      this.#paged(page);
      items[0]?.querySelector(".download").focus();
      say(`${items.length} more files`);
    } catch (error) {
      trouble(error);
    } finally {
      at("more").disabled = false;
    }
  }

  #paged(page) {
    this.#cursor = page.next_cursor;
    at("more").hidden = page.next_cursor === null;
    at("empty").hidden = at("gallery").children.length > 0;
  }

  #counted({ usage, max_entries }) {
    at("usage").textContent = `${usage.files} of ${max_entries}, ${bytes(usage.stored_bytes)}`;
  }

  #item(file) {
    const node = element("li", "gallery-item");
    node.dataset.id = file.id;
    const thumb = element("div", "thumb");
    const extension = /\.([a-z0-9]{1,5})$/i.exec(file.name)?.[1] ?? /\/([a-z0-9]{1,5})$/.exec(file.type)?.[1] ?? "file";
    thumb.append(element("span", "thumb-word", extension.toUpperCase()));
    if (this.pictures && file.type.startsWith("image/")) picture(thumb, file);
    const words = element("div", "gallery-text");
    const name = element("p", "gallery-name", file.name);
    name.title = file.name;
    name.dir = "auto";
    const facts = element("p", "gallery-facts");
    const sides = file.width && file.height ? [`${file.width} × ${file.height}`] : [];
    facts.append(...[bytes(file.size), file.type, ...sides].map((fact) => element("span", "fact", fact)));
    words.append(name, facts);
    const actions = element("div", "gallery-actions");
    actions.append(download(file), this.#delete(node, file));
    node.append(thumb, words, actions);
    return node;
  }

  #delete(node, file) {
    const button = element("button", "button small danger delete", "Delete");
    button.type = "button";
    button.setAttribute("aria-label", `Delete ${file.name}`);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await client.deleteFile(file.id);
        const neighbour = node.nextElementSibling ?? node.previousElementSibling;
        node.remove();
        if (neighbour === null) await this.refresh();
        else this.#counted(await client.slot(this.slotName));
        (neighbour?.querySelector(".delete") ?? at("file") ?? document.querySelector("h2[tabindex]"))?.focus();
        say(`${file.name} deleted`);
      } catch (error) {
        button.disabled = false;
        trouble(error);
      }
    });
    return button;
  }
}

/** The picture, where the browser can show it; the badge stays where it cannot. */
function picture(thumb, file) {
  const image = new Image();
  image.alt = "";
  image.decoding = "async";
  image.addEventListener("load", () => thumb.replaceChildren(image));
  image.src = file.url;
}

function download(file) {
  const link = element("a", "button small download", "Download");
  let expires = Date.now() + (file.url_expires_in - 5) * 1000;
  link.href = file.url;
  link.setAttribute("aria-label", `Download ${file.name}`);
  link.addEventListener("click", async (event) => {
    if (Date.now() < expires) return;
    event.preventDefault();
    try {
      const fresh = await client.file(file.id);
      expires = Date.now() + (fresh.url_expires_in - 5) * 1000;
      link.href = fresh.url;
      location.assign(fresh.url);
    } catch (error) {
      trouble(error);
    }
  });
  return link;
}
