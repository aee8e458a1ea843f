// One large file: pause, resume, reload and go on.
import { at, bytes, client, dropZone, Gallery, meter, reasonInWords, rulesInWords, say, statusInWords, timeLeft } from "./common.js";

const gallery = new Gallery("big");
let upload = null;

function begin(file) {
  if (upload !== null && !upload.ended) return;
  upload = client.upload(file, { slot: "big" });
  const mine = upload;
  at("name").textContent = mine.name;
  at("size").textContent = bytes(mine.size);
  at("now").hidden = false;
  mine.addEventListener("progress", show);
  mine.addEventListener("state", async () => {
    show();
    if (!mine.ended) return;
    say(`${mine.name}: ${statusInWords(mine)}`);
    await gallery.refresh();
  });
  show();
}

function show() {
  const { progress, state, paused, ended, error } = upload;
  meter(at("total"), progress.percent);
  at("now").dataset.state = state;
  at("status").textContent = statusInWords(upload);
  at("sent").textContent = `${bytes(progress.loaded)} of ${bytes(progress.total)}`;
  at("speed").textContent = progress.speed === null || ended ? "–" : `${bytes(progress.speed)}/s`;
  at("left").textContent = ended ? "–" : timeLeft(progress.timeLeft);
  at("refusal").hidden = error === null || state === "cancelled";
  at("refusal").textContent = error === null ? "" : reasonInWords(error);
  const focused = document.activeElement;
  at("pause").hidden = ended || paused || state === "verifying";
  at("resume").hidden = ended || !paused;
  at("retry").hidden = state !== "failed" && state !== "cancelled";
  at("cancel").hidden = ended;
  at("file").disabled = !ended;
  // A button that gives way to another hands its focus over.
  if (focused?.hidden) [at("resume"), at("pause"), at("retry"), at("file")].find((each) => !each.hidden)?.focus();
}

at("pause").addEventListener("click", () => upload.pause());
at("resume").addEventListener("click", () => upload.resume());
at("cancel").addEventListener("click", () => upload.cancel());
at("retry").addEventListener("click", () => upload.retry().catch(() => undefined));
at("file").addEventListener("change", () => {
  const [file] = at("file").files;
  at("file").value = "";
  if (file) begin(file);
});
dropZone(at("drop"), ([file]) => begin(file), (over) => at("drop").classList.toggle("over", over));

const slot = await gallery.refresh();
if (slot !== null) at("rules").textContent = rulesInWords(slot);
