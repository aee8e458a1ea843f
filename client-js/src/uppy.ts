/** The verdict in Uppy: its own S3 uploader never asks for it after a single upload. Uppy is the app's. */

/** As much of Uppy, 5.x or 6.x, as is needed here. */
export interface UppyLike {
  addPostProcessor(step: (ids: string[]) => Promise<void>): void;
  removePostProcessor(step: (ids: string[]) => Promise<void>): void;
  getFile(id: string): any;
  setFileState(id: string, state: any): void;
  getPlugin(id: string): any;
  emit: (...args: any[]) => any;
}

/** What differs between apps. Without it, everything is taken from Uppy's own `AwsS3` plugin. */
export interface VerdictOptions {
  /** `…/u/{slot}/{token}`. Default: the plugin's `companionEndpoint` or `endpoint`. */
  endpoint?: string;
  /** Default: the plugin's `headers`. */
  headers?: Record<string, string>;
  /** What Uppy shows meanwhile. Default: "Verifying…". */
  message?: string;
}

/** Milliseconds between tries while the broker cannot be had. */
const PAUSES = [500, 1000, 2000, 4000, 8000];

/**
 * Lets every upload of Uppy end with its verdict: a file that was rejected fails with the reason, and a committed
 * one has the broker's ticket in its state as `putgate`. One whose verdict cannot be had stays as it is: it has been
 * sent, and the broker judges it without us. Answers a function that takes this off again.
 */
export function verdicts(uppy: UppyLike, options: VerdictOptions = {}): () => void {
  const step = async (ids: string[]): Promise<void> => {
    await Promise.all(ids.map((id) => judge(uppy, id, options)));
  };
  uppy.addPostProcessor(step);
  return () => uppy.removePostProcessor(step);
}

async function judge(uppy: UppyLike, id: string, options: VerdictOptions): Promise<void> {
  const file = uppy.getFile(id);
  const ticket = ticketOf(file);
  if (!ticket || file.error) return;
  const plugin = (uppy.getPlugin("AwsS3") ?? uppy.getPlugin("AwsS3Multipart"))?.opts ?? {};
  const endpoint: string = options.endpoint ?? plugin.companionEndpoint ?? plugin.endpoint;
  const url = `${endpoint.replace(/\/+$/, "")}/tickets/${ticket}/complete?wait=20`;
  const init: RequestInit = {
    method: "POST",
    headers: options.headers ?? plugin.headers ?? {},
    credentials: plugin.cookiesRule ?? "same-origin",
  };
  uppy.emit("postprocess-progress", file, { mode: "indeterminate", message: options.message ?? "Verifying…" });
  const found = await verdict(url, init);
  // It may have been taken off the list meanwhile.
  const now = uppy.getFile(id);
  if (!now) return;
  if (found && !found.ok) {
    const error = new Error(found.body.detail ?? found.body.code ?? "The file was not accepted");
    uppy.emit("upload-error", now, Object.assign(error, { problem: found.body }));
    return;
  }
  if (found) uppy.setFileState(id, { putgate: found.body });
  uppy.emit("postprocess-complete", uppy.getFile(id));
}

/** The ticket's id is the last part of the place where the file went. */
function ticketOf(file: any): string | undefined {
  const place: string = file?.uploadURL ?? file?.response?.uploadURL ?? "";
  return /\/([0-9a-f-]{36})(?:$|[?#])/.exec(place)?.[1];
}

/** The broker's last word; undefined when it cannot be had. */
async function verdict(url: string, init: RequestInit): Promise<{ ok: boolean; body: any } | undefined> {
  let tries = 0;
  for (;;) {
    const answer = await fetch(url, init).catch(() => undefined);
    const status = answer?.status ?? 0;
    const again = status === 0 || status === 429 || status >= 500;
    if (answer && !again && status !== 202) {
      return { ok: answer.ok, body: await answer.json().catch(() => ({})) };
    }
    const pause = again ? PAUSES[tries++] : 1000;
    if (pause === undefined) return undefined;
    await new Promise((go) => setTimeout(go, pause));
  }
}
