import { Api, objectOf } from "./api.js";
import { AdaptiveLanes, Lanes } from "./lanes.js";
import { Policies, refusal } from "./policy.js";
import { FileQueue } from "./queue.js";
import { browser } from "./transport.js";
import { FileUpload } from "./upload.js";
export { PutgateError } from "./errors.js";
/** A client of the broker at `endpoint`. */
export function createClient({ endpoint, token, concurrency, resume = true, transport = browser }) {
    const api = new Api(endpoint, token, transport);
    const policies = new Policies(api);
    const lanes = concurrency ? new Lanes(concurrency) : new AdaptiveLanes();
    const desk = { api, policies, lanes, memory: remembering(resume) };
    const get = async (path) => objectOf(await api.call("GET", path));
    function upload(what, options) {
        if (Symbol.iterator in what)
            return new FileQueue(desk, what, options);
        return new FileUpload(desk, what, options, null, options.concurrency ? new Lanes(options.concurrency) : lanes);
    }
    return {
        upload,
        queue: (options) => new FileQueue(desk, [], options),
        slots: async () => (await get("/v1/slots")).slots,
        slot: (name, ref) => policies.get(name, ref, 0),
        check: async (file, { slot, ref, name = file.name ?? "" }) => refusal(await policies.get(slot, ref), { file, name }),
        files: (query = {}) => get(`/v1/files${queryString(query)}`),
        file: (id) => get(`/v1/files/${encodeURIComponent(id)}`),
        deleteFile: async (id) => {
            await api.call("DELETE", `/v1/files/${encodeURIComponent(id)}`);
        },
    };
}
/** What remembers; opened by the first upload, and absent where nothing can be remembered. */
function remembering(resume) {
    if (typeof resume === "object")
        return async () => resume;
    let opened;
    return () => (opened ??= resume && "indexedDB" in globalThis
        ? import("./resume.js").then(({ openMemory }) => openMemory()).catch(() => null)
        : Promise.resolve(null));
}
function queryString(query) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}
//# sourceMappingURL=index.js.map