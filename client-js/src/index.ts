import { Api, objectOf } from "./api.js";
import type { CommittedFile, FilePage, Slot, Token } from "./api.js";
import { browser } from "./transport.js";
import type { Transport } from "./transport.js";
import { upload } from "./upload.js";
import type { UploadOptions } from "./upload.js";

export { PutgateError } from "./errors.js";
export type { Problem } from "./errors.js";
export type { CommittedFile, FilePage, Slot, Token } from "./api.js";
export type { Progress, UploadOptions } from "./upload.js";
export type { Answer, ApiRequest, PutRequest, Transport } from "./transport.js";

/** Where the broker is and who calls. */
export interface ClientOptions {
  /** The broker's URL, with its path if it has one; `""`: this page's origin. */
  endpoint: string;
  token: Token;
  /** For tests; default: the browser's. */
  transport?: Transport;
}

/** Which files to list. */
export interface FileQuery {
  slot?: string;
  ref?: string;
  cursor?: string;
  /** Files a page. */
  limit?: number;
}

/** A broker, as one user sees it. Every method throws `PutgateError`, or what the token getter threw. */
export interface Client {
  /** Uploads one file; resolves when it is committed. */
  upload(file: Blob, options: UploadOptions): Promise<CommittedFile>;
  /** The slots that the token may use. */
  slots(): Promise<Slot[]>;
  slot(name: string): Promise<Slot>;
  /** Committed files, newest first. */
  files(query?: FileQuery): Promise<FilePage>;
  /** One file, with a fresh `url`. */
  file(id: string): Promise<CommittedFile>;
  deleteFile(id: string): Promise<void>;
}

/** A client of the broker at `endpoint`. */
export function createClient({ endpoint, token, transport = browser }: ClientOptions): Client {
  const api = new Api(endpoint, token, transport);
  const get = async <T>(path: string) => objectOf<T>(await api.call("GET", path));
  return {
    upload: (file, options) => upload(api, file, options),
    slots: async () => (await get<{ slots: Slot[] }>("/v1/slots")).slots,
    slot: (name) => get(`/v1/slots/${encodeURIComponent(name)}`),
    files: (query = {}) => get(`/v1/files${queryString(query)}`),
    file: (id) => get(`/v1/files/${encodeURIComponent(id)}`),
    deleteFile: async (id) => {
      await api.call("DELETE", `/v1/files/${encodeURIComponent(id)}`);
    },
  };
}

function queryString(query: FileQuery): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}
