// The form's uploads are wired by its attributes alone. This script plays the app around it: it shows what is
// saved, and says in words why something was refused.
import { at, bytes, client, reasonInWords, rulesInWords, say, trouble } from "./common.js";

async function card() {
  try {
    const { files } = await client.files({ slot: "avatar", limit: 1 });
    const [file] = files;
    at("saved").hidden = file === undefined;
    at("form").hidden = file !== undefined;
    if (file === undefined) return;
    at("picture").src = file.url;
    at("saved-name").textContent = file.name;
    const sides = file.width && file.height ? `, ${file.width} × ${file.height}` : "";
    at("saved-facts").textContent = `${bytes(file.size)}, ${file.type}${sides}`;
  } catch (error) {
    trouble(error);
  }
}

at("replace").addEventListener("click", () => {
  at("form").hidden = false;
  at("form").reset();
  at("refusal").hidden = true;
  at("avatar").focus();
});

at("form").addEventListener("putgate:ready", ({ detail: slot }) => {
  at("rules").textContent = `or drop it here. ${rulesInWords(slot)}`;
});

at("form").addEventListener("putgate:upload:progress", ({ detail }) => {
  at("refusal").hidden = detail.status !== "error";
  at("refusal").textContent = detail.status === "error" ? reasonInWords(detail.error) : "";
});

// An app would let the browser send the form: `avatar` holds the file's id by now, and the app's backend claims it.
at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (new FormData(at("form")).get("avatar") === null) {
    at("refusal").textContent = "Choose a picture first.";
    at("refusal").hidden = false;
    return;
  }
  await card();
  say("Your avatar is saved.");
  at("replace").focus();
  at("form").reset();
});

await card();
