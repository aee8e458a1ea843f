// Many files at once: drop them anywhere, see one dialog with the progress of all.
import { at, bytes, client, dropZone, element, Gallery, meter, reasonInWords, rulesInWords, say, statusInWords, timeLeft, trouble } from "./common.js";

const gallery = new Gallery("photos", { pictures: true });
const queue = client.queue({ slot: "photos" });
const rows = new Map();
const dialog = at("progress");

function add(files) {
  if (queue.items.every((upload) => upload.ended)) {
    for (const upload of queue.items) queue.remove(upload);
    rows.clear();
    at("uploads").replaceChildren();
  }
  queue.oneByOne = at("one-by-one").checked;
  for (const upload of queue.add(files)) show(upload);
  if (!dialog.open) dialog.showModal();
  total();
}

function show(upload) {
  if (rows.has(upload)) return;
  const row = element("li", "upload-row");
  const line = element("div", "upload-line");
  const name = element("span", "upload-name", upload.name);
  name.dir = "auto";
  const cancel = element("button", "button small upload-action", "Cancel");
  cancel.type = "button";
  cancel.setAttribute("aria-label", `Cancel ${upload.name}`);
  cancel.addEventListener("click", () => upload.cancel());
  line.append(name, element("span", "upload-size", bytes(upload.size)), cancel);
  const bar = element("div", "meter");
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-label", `Progress of ${upload.name}`);
  bar.setAttribute("aria-valuemin", 0);
  bar.setAttribute("aria-valuemax", 100);
  bar.append(element("div", ""));
  const state = element("p", "upload-state");
  const reason = element("p", "reason");
  row.append(line, bar, state, reason);
  const update = () => {
    row.dataset.state = upload.state;
    meter(bar, upload.progress.percent);
    state.textContent = statusInWords(upload);
    reason.hidden = upload.error === null || upload.state === "cancelled";
    reason.textContent = upload.error === null ? "" : reasonInWords(upload.error);
    cancel.hidden = upload.ended;
  };
  upload.addEventListener("progress", update);
  upload.addEventListener("state", () => {
    update();
    if (upload.ended) say(`${upload.name}: ${statusInWords(upload)}`);
  });
  update();
  rows.set(upload, row);
  at("uploads").append(row);
}

function total() {
  const { items, progress } = queue;
  const done = items.filter(({ state }) => state === "committed").length;
  const under = items.filter((upload) => !upload.ended).length;
  const failed = items.filter(({ state }) => state === "failed").length;
  const pace = progress.speed === null || under === 0 ? "" : `, ${bytes(progress.speed)}/s, ${timeLeft(progress.timeLeft)} left`;
  meter(at("total"), progress.percent);
  at("total-words").textContent = `${done} of ${items.length} committed, ${progress.percent} %${pace}`;
  at("progress-title").textContent = under > 0 ? "Uploading" : done === items.length ? "Uploaded" : "Not everything arrived";
  at("cancel-all").hidden = under === 0;
  at("retry-all").hidden = failed === 0 || under > 0;
  at("close").hidden = under > 0;
}

queue.addEventListener("progress", total);
queue.addEventListener("state", total);
queue.addEventListener("done", async () => {
  total();
  const slot = await gallery.refresh();
  if (slot !== null && queue.items.length > 0 && queue.items.every(({ state }) => state === "committed")) dialog.close();
});

at("cancel-all").addEventListener("click", () => queue.cancel());
at("retry-all").addEventListener("click", () => queue.retry());
at("close").addEventListener("click", () => dialog.close());
// Escape must not hide uploads that go on.
dialog.addEventListener("cancel", (event) => {
  if (queue.items.some((upload) => !upload.ended)) event.preventDefault();
});
dialog.addEventListener("close", () => at("file").focus());
at("file").addEventListener("change", () => {
  const files = [...at("file").files];
  // The same file can be picked again.
  at("file").value = "";
  if (files.length > 0) add(files);
});
at("one-by-one").addEventListener("change", () => {
  queue.oneByOne = at("one-by-one").checked;
});
dropZone(window, add, (over) => {
  at("veil").hidden = !over;
});

const slot = await gallery.refresh();
if (slot !== null) {
  at("rules").textContent = rulesInWords(slot);
  at("file").accept = slot.accept.join(",");
} else {
  trouble(new Error("The server does not answer. Reload the page to try again."));
}
