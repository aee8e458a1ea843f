/** What a page can show: the element, the binding by attributes, and their words. */
export { PutgateUpload, defineElement } from "./element.js";
export { bindUploads } from "./bind.js";
export { tokenFrom } from "./start.js";
export { english } from "./strings.js";
//# sourceMappingURL=index.js.map