/** Everything at once, for a page without a script of its own: the element, and every marked input. */
import { bindUploads } from "./bind.js";
import { defineElement } from "./element.js";
defineElement();
if (document.readyState === "loading")
    document.addEventListener("DOMContentLoaded", () => bindUploads());
else
    bindUploads();
//# sourceMappingURL=auto.js.map