// The element does the uploading; this script shows the list beside it.
import { at, Gallery, rulesInWords } from "./common.js";

const gallery = new Gallery("documents");
at("upload").addEventListener("change", () => gallery.refresh());
const slot = await gallery.refresh();
if (slot !== null) at("rules").textContent = rulesInWords(slot);
