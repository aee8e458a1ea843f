// The demo page. All text that a person or a file brought goes in as text, never as markup.
import { createClient, PutgateError } from "/client/putgate-client.js";

/** Uploads on the wire at a time; the rest wait. */
const AT_A_TIME = 3;
const PAGE = 12;
/** The slots as a visitor meets them; the server lists them by name. */
const ORDER = ["avatar", "photos", "documents", "big"];

const sub = new URLSearchParams(location.search).get("sub") ?? "demo";
const client = createClient({
  endpoint: document.documentElement.dataset.api ?? "",
  token: async () => {
    const query = new URLSearchParams({ sub, scope: "upload read delete" });
    const response = await fetch(`/dev/token?${query}`, { cache: "no-store" });
    if (!response.ok) throw new Error(`The demo token was refused (${response.status}).`);
    return (await response.json()).token;
  },
});

const at = (id) => document.getElementById(id);
const page = {
  slot: at("slot"), rules: at("rules"), drop: at("drop"), file: at("file"), pick: at("pick"), uploads: at("uploads"),
  usage: at("usage"), empty: at("empty"), gallery: at("gallery"), galleryTitle: at("gallery-title"),
  more: at("more"), trouble: at("trouble"), live: at("live"),
};

let slot = null;
let cursor = null;
/** Counts gallery loads, so that an answer for the slot of a moment ago is dropped. */
let load = 0;

// --- words -----------------------------------------------------------------

function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits).replace(/\.0$/, "")} ${count === 1 ? "byte" : units[unit]}`;
}

const list = (items, word) => new Intl.ListFormat("en", { type: word }).format(items);
const WILDCARDS = { "image/*": "any image", "video/*": "any video", "audio/*": "any audio", "text/*": "any text" };
const plainType = (item) => WILDCARDS[item] ?? (item.startsWith(".") ? item.slice(1).toUpperCase() : item);

function rulesInWords({ accept = [], max_file_size, max_entries, on_full, image, quota }) {
  const what = accept.length === 0 ? "Files of any type" : `Takes ${list(accept.map(plainType), "disjunction")}`;
  const count = max_entries === 1 ? "one file" : `${max_entries} files`;
  const old = max_entries === 1 ? "it" : "the oldest";
  const full = on_full === "replace" ? `a new one replaces ${old}` : "a full slot takes no more";
  const sides = image?.max_width && image?.max_height ? `, ${image.max_width} × ${image.max_height} pixels` : "";
  const all = quota ? ` and ${bytes(quota)} in all` : "";
  return `${what}, up to ${bytes(max_file_size)}${sides}${max_entries === 1 ? "" : " each"}. Room for ${count}${all}; ${full}.`;
}

/** Where there is no picture: the name's extension, or else the type. */
function badge({ type, name }) {
  const extension = /\.([a-z0-9]{1,5})$/i.exec(name)?.[1];
  const subtype = /\/([a-z0-9]{1,5})$/.exec(type)?.[1];
  return (extension ?? subtype ?? "file").toUpperCase();
}

/** What the server, or the client, said: the sentence, then the code and reason that programs branch on. */
function reasonInWords(error) {
  if (!(error instanceof PutgateError)) return error.message;
  const parts = [error.code, error.reason].filter(Boolean);
  // A sentence begins with a capital; the name of a setting stays as it is written.
  const sentence = error.detail.replace(/^[a-z](?=[a-z]*[ ,])/, (letter) => letter.toUpperCase());
  return `${sentence.replace(/\.?$/, ".")} (${parts.join(": ")})`;
}

function say(sentence) {
  page.live.textContent = sentence;
}

function trouble(error) {
  page.trouble.textContent = reasonInWords(error);
  page.trouble.hidden = false;
}

const instance = (template) => at(template).content.firstElementChild.cloneNode(true);

// --- uploads ---------------------------------------------------------------

const waiting = [];
let running = 0;

function add(files) {
  if (slot === null) return;
  for (const file of files) {
    const upload = newUpload(file, slot.name);
    if (file.size === 0) upload.refuse("This file is empty. There is nothing in it to upload.");
    else waiting.push(upload);
  }
  next();
}

function next() {
  while (running < AT_A_TIME && waiting.length > 0) {
    running += 1;
    waiting.shift().start().finally(() => {
      running -= 1;
      next();
    });
  }
}

function newUpload(file, slotName) {
  const row = instance("upload-row");
  const part = (name) => row.querySelector(`.${name}`);
  const [progress, state, reason, action] = ["upload-progress", "upload-state", "reason", "upload-action"].map(part);
  const abort = new AbortController();
  part("upload-name").textContent = file.name;
  part("upload-size").textContent = bytes(file.size);
  progress.setAttribute("aria-label", `Progress of ${file.name}`);
  action.setAttribute("aria-label", `Cancel ${file.name}`);

  const show = (name, words) => {
    row.dataset.state = name;
    state.textContent = words;
  };
  const end = (name, words, why) => {
    show(name, words);
    reason.textContent = why ?? "";
    reason.hidden = !why;
    action.textContent = "Dismiss";
    action.disabled = false;
    action.setAttribute("aria-label", `Dismiss ${file.name}`);
    say(`${file.name}: ${words}${why ? `. ${why}` : ""}`);
  };
  const ended = () => ["committed", "rejected", "failed", "cancelled"].includes(row.dataset.state);

  action.addEventListener("click", () => {
    if (ended()) {
      row.remove();
      page.file.focus();
      return;
    }
    abort.abort();
    action.disabled = true;
    const place = waiting.indexOf(upload);
    if (place >= 0) {
      waiting.splice(place, 1);
      end("cancelled", "Cancelled");
    }
  });

  const shown = (going) => {
    progress.value = going.progress.percent;
    if (going.state === "verifying") show("verifying", "Verifying: the server reads what arrived");
    else if (going.state === "uploading") show("uploading", `Uploading, ${going.progress.percent} %`);
    else if (going.waitingFor === "other-tab") show("waiting", "Waiting for another tab that has this file");
    else if (going.waitingFor === "network") show("waiting", "Waiting for the network");
  };

  const upload = {
    refuse: (why) => end("rejected", "Refused", why),
    async start() {
      show("uploading", "Asking for a ticket");
      try {
        const going = client.upload(file, { slot: slotName, signal: abort.signal });
        for (const name of ["state", "progress"]) going.addEventListener(name, () => shown(going));
        const committed = await going.done;
        progress.value = 100;
        end("committed", `Committed as ${committed.type}`);
        if (slot?.name === slotName) await refresh();
      } catch (error) {
        if (error.code === "cancelled") end("cancelled", "Cancelled");
        else if (error.code === "content-rejected") end("rejected", "Rejected", reasonInWords(error));
        else if (error.status >= 400 && error.status < 500) end("rejected", "Refused", reasonInWords(error));
        else end("failed", "Failed", reasonInWords(error));
      }
    },
  };
  show("waiting", "Waiting");
  page.uploads.prepend(row);
  return upload;
}

// --- gallery ---------------------------------------------------------------

async function refresh() {
  const turn = ++load;
  try {
    const [answer, fresh] = await Promise.all([
      client.files({ slot: slot.name, limit: PAGE }),
      client.slot(slot.name),
    ]);
    if (turn !== load) return;
    slot = fresh;
    // What is shown already stays, and keeps its focus and its loaded picture.
    const shown = new Map([...page.gallery.children].map((node) => [node.dataset.id, node]));
    page.gallery.replaceChildren(...answer.files.map((file) => shown.get(file.id) ?? item(file)));
    paged(answer);
    page.trouble.hidden = true;
  } catch (error) {
    if (turn === load) trouble(error);
  }
}

async function more() {
  const turn = load;
  page.more.disabled = true;
  try {
    const answer = await client.files({ slot: slot.name, limit: PAGE, cursor });
    if (turn !== load) return;
    const items = answer.files.map(item);
    page.gallery.append(...items);
    paged(answer);
    items[0]?.querySelector(".download").focus();
    say(`${items.length} more files`);
  } catch (error) {
    trouble(error);
  } finally {
    page.more.disabled = false;
  }
}

function paged(answer) {
  cursor = answer.next_cursor;
  page.more.hidden = cursor === null;
  counted();
}

function counted() {
  const { files, stored_bytes } = slot.usage;
  page.empty.hidden = page.gallery.children.length > 0;
  page.usage.textContent = `${files} of ${slot.max_entries}, ${bytes(stored_bytes)}`;
}

function item(file) {
  const node = instance("gallery-item");
  const part = (name) => node.querySelector(`.${name}`);
  node.dataset.id = file.id;
  part("gallery-name").textContent = file.name;
  part("gallery-name").title = file.name;
  const facts = [bytes(file.size), file.type];
  if (file.width && file.height) facts.push(`${file.width} × ${file.height}`);
  part("gallery-facts").append(...facts.map(fact));
  part("thumb-word").textContent = badge(file);
  if (file.type.startsWith("image/")) picture(part("thumb"), file);
  download(part("download"), file);
  remove(node, part("delete"), file);
  return node;
}

function fact(words) {
  const span = document.createElement("span");
  span.textContent = words;
  return span;
}

/** The picture, where the browser can show it; the badge stays where it cannot. */
function picture(thumb, file) {
  const image = new Image();
  image.alt = "";
  image.decoding = "async";
  image.addEventListener("load", () => thumb.replaceChildren(image));
  image.src = file.url;
}

function download(link, file) {
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
}

function remove(node, button, file) {
  button.setAttribute("aria-label", `Delete ${file.name}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await client.deleteFile(file.id);
      const neighbour = node.nextElementSibling ?? node.previousElementSibling;
      node.remove();
      await refresh();
      (neighbour?.querySelector(".delete") ?? page.galleryTitle).focus();
      say(`${file.name} deleted`);
    } catch (error) {
      button.disabled = false;
      trouble(error);
    }
  });
}

// --- the slot, the drop zone, the start ------------------------------------

function choose(chosen) {
  slot = chosen;
  page.rules.textContent = rulesInWords(slot);
  page.file.accept = (slot.accept ?? []).join(",");
  page.file.multiple = slot.max_entries > 1;
  page.pick.textContent = slot.max_entries > 1 ? "Choose files" : "Choose a file";
  page.gallery.replaceChildren();
  page.empty.hidden = true;
  page.more.hidden = true;
  page.usage.textContent = "";
  history.replaceState(null, "", `#${slot.name}`);
  return refresh();
}

function choices(slots, chosen) {
  for (const each of slots) {
    const label = document.createElement("label");
    label.className = "slot-choice";
    const radio = document.createElement("input");
    radio.type = "radio";
    radio.name = "slot";
    radio.value = each.name;
    radio.checked = each === chosen;
    radio.addEventListener("change", () => choose(each));
    const word = document.createElement("span");
    word.textContent = each.name;
    label.append(radio, word);
    page.slot.append(label);
  }
  window.addEventListener("hashchange", () => {
    [...page.slot.querySelectorAll("input")].find(({ value }) => `#${value}` === location.hash)?.click();
  });
}

page.file.addEventListener("change", () => {
  add([...page.file.files]);
  // The same file can be picked again.
  page.file.value = "";
});

let depth = 0;
const over = (change) => {
  depth = Math.max(0, depth + change);
  page.drop.classList.toggle("over", depth > 0);
};
page.drop.addEventListener("dragenter", () => over(1));
page.drop.addEventListener("dragleave", () => over(-1));
page.drop.addEventListener("drop", (event) => {
  over(-depth);
  add([...event.dataTransfer.files]);
});
// A file that misses the zone must not replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
page.more.addEventListener("click", more);

try {
  const slots = (await client.slots()).sort((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name));
  const chosen = slots.find(({ name }) => `#${name}` === location.hash) ?? slots[0];
  if (chosen) {
    choices(slots, chosen);
    await choose(chosen);
  }
} catch (error) {
  trouble(error);
}
