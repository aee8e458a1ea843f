import { objectOf } from "./api.js";
import { fromProblem } from "./errors.js";
/** Milliseconds for which a slot's policy is believed. */
const FRESH = 60_000;
/** The slots' policies, remembered for a minute. */
export class Policies {
    #api;
    #known = new Map();
    constructor(api) {
        this.#api = api;
    }
    /** The slot, with its usage for `ref`; as fetched at most `age` milliseconds ago. */
    get(name, ref, age = FRESH) {
        const path = `/v1/slots/${encodeURIComponent(name)}${ref === undefined ? "" : `?ref=${encodeURIComponent(ref)}`}`;
        const now = this.#api.transport.now();
        const known = this.#known.get(path);
        if (known && now - known.at < age)
            return known.slot;
        const slot = this.#api.call("GET", path).then((answer) => objectOf(answer));
        this.#known.set(path, { slot, at: now });
        slot.catch(() => this.#known.delete(path));
        return slot;
    }
}
/**
 * Why the slot will not take the file, with the code and members of the server's problem; null
 * when it may. It never refuses what the server would take: where names and declared types do
 * not settle it, the server is asked.
 */
export function refusal(slot, file) {
    const { size } = file.file;
    if (size === 0)
        return problem("invalid-request", 400, "The file is empty.");
    if (size > slot.max_file_size) {
        const detail = `${size} bytes, the slot takes ${slot.max_file_size}`;
        return problem("file-too-large", 413, detail, { limit: slot.max_file_size });
    }
    if (isForeign(slot, file)) {
        const { accept } = slot;
        const declared = file.file.type;
        const detail = `the slot takes ${accept.join(", ")}, not ${declared}`;
        return problem("type-not-accepted", 422, detail, { accept, declared });
    }
    return null;
}
/** How many more files a slot that replaces nothing has room for. Open tickets may yet go, or be resumed. */
export function room({ on_full, max_entries, usage }) {
    return on_full === "reject" ? Math.max(0, max_entries - usage.files) : Infinity;
}
/** The refusal of a file that finds no room. */
export function full({ max_entries }) {
    return problem("slot-full", 409, `the slot holds ${max_entries} files`, { limit: max_entries });
}
function isForeign({ accept = [], accepted }, { name, file: { type } }) {
    const declared = type.split(";")[0].trim().toLowerCase();
    const extension = /[^/\\](\.[^./\\]+?)[ .]*$/.exec(name)?.[1]?.toLowerCase() ?? "";
    // Without a declared type, only the server knows whether the extension means anything.
    if (!accept.length || !accepted || !/^[^/]+\/[^/]+$/.test(declared) || declared.endsWith("/octet-stream"))
        return false;
    const admits = (item) => item === extension || item === declared || (item.endsWith("/*") && (item === "*/*" || declared.startsWith(item.slice(0, -1))));
    return !accept.some(admits) && !accepted.extensions.includes(extension) && !accepted.types.includes(declared);
}
function problem(code, status, detail, members = {}) {
    return fromProblem({ code, status, detail, ...members });
}
//# sourceMappingURL=policy.js.map