// The element does the uploading; this script shows the list beside it.
import { at, Gallery, rulesInWords, tokenUrl } from "./common.js";

// Only so that one machine can play several people: the attribute says the same of the usual one.
at("upload").setAttribute("token-url", tokenUrl);

const gallery = new Gallery("documents");
at("upload").addEventListener("change", () => gallery.refresh());
const slot = await gallery.refresh();
if (slot !== null) at("rules").textContent = rulesInWords(slot);
