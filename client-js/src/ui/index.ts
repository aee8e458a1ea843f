/** What a page can show: the element, the binding by attributes, and their words. */
export { PutgateUpload, defineElement } from "./element.js";
export { bindUploads } from "./bind.js";
export type { Binding, BindOptions } from "./bind.js";
export { tokenFrom } from "./start.js";
export { english } from "./strings.js";
export type { Strings } from "./strings.js";
export type { Report, Status } from "./report.js";
