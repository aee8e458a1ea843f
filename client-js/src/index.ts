import { Api, objectOf } from "./api.js";
import { AdaptiveLanes, Lanes } from "./lanes.js";
import { Policies, refusal } from "./policy.js";
import { FileQueue } from "./queue.js";
import type { Desk } from "./run.js";
import { browser } from "./transport.js";
import type { Client, ClientOptions, FileQuery, Memory, QueueOptions, Slot, Upload, UploadOptions } from "./types.js";
import { FileUpload } from "./upload.js";

export { PutgateError } from "./errors.js";
export type { Problem } from "./errors.js";
export type {
  Client,
  ClientOptions,
  CommittedFile,
  Emitter,
  FilePage,
  FileQuery,
  Errand,
  Memory,
  Place,
  Progress,
  Queue,
  QueueEvents,
  QueueOptions,
  Slot,
  State,
  Token,
  Upload,
  UploadEvents,
  UploadOptions,
  Waiting,
} from "./types.js";
export type { Answer, ApiRequest, PutRequest, Transport } from "./transport.js";

/** A client of the broker at `endpoint`. */
export function createClient({ endpoint, token, concurrency, resume = true, transport = browser }: ClientOptions): Client {
  const api = new Api(endpoint, token, transport);
  const policies = new Policies(api);
  const lanes = concurrency ? new Lanes(concurrency) : new AdaptiveLanes();
  const desk: Desk = { api, policies, lanes, memory: remembering(resume) };
  const get = async <T>(path: string) => objectOf<T>(await api.call("GET", path));

  function upload(file: Blob, options: UploadOptions): Upload;
  function upload(files: Iterable<Blob>, options: QueueOptions): FileQueue;
  function upload(what: Blob | Iterable<Blob>, options: UploadOptions & QueueOptions): Upload | FileQueue {
    if (Symbol.iterator in what) return new FileQueue(desk, what, options);
    return new FileUpload(desk, what, options, null, options.concurrency ? new Lanes(options.concurrency) : lanes);
  }

  return {
    upload,
    queue: (options) => new FileQueue(desk, [], options),
    slots: async () => (await get<{ slots: Slot[] }>("/v1/slots")).slots,
    slot: (name, ref) => policies.get(name, ref, 0),
    check: async (file, { slot, ref, name = (file as File).name ?? "" }) =>
      refusal(await policies.get(slot, ref), { file, name }),
    files: (query = {}) => get(`/v1/files${queryString(query)}`),
    file: (id) => get(`/v1/files/${encodeURIComponent(id)}`),
    deleteFile: async (id) => {
      await api.call("DELETE", `/v1/files/${encodeURIComponent(id)}`);
    },
  };
}

/** What remembers; opened by the first upload, and absent where nothing can be remembered. */
function remembering(resume: boolean | Memory): () => Promise<Memory | null> {
  if (typeof resume === "object") return async () => resume;
  let opened: Promise<Memory | null> | undefined;
  return () =>
    (opened ??= resume && "indexedDB" in globalThis
      ? import("./resume.js").then(({ openMemory }) => openMemory()).catch(() => null)
      : Promise.resolve(null));
}

function queryString(query: FileQuery): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}
