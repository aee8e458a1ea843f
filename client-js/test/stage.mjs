// A broker and a store made of answers, for the tests: time passes only when the client sleeps.
import { createClient } from "../build/index.js";

export const FILE = { id: "t1", slot: "photos", name: "a.png", size: 10, type: "image/png" };
export const bytes = (size) => new File([new Uint8Array(size)], "a.png", { type: "image/png" });
export const answer = (status, body, retryAfter = null) => ({
  status,
  text: typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body),
  retryAfter,
});
export const problem = (status, code, members = {}) => answer(status, { status, code, detail: `said ${code}`, ...members });
export const LOST = answer(0);

const put = (url) => ({ kind: "put", method: "PUT", url, headers: { "x-signed": "1" }, expires_in: 900 });
const WELL = {
  "POST /v1/tickets": answer(201, { tickets: [{ id: "t1", slot: "photos", state: "open", transfer: put("store:first") }], errors: [] }),
  "POST /v1/tickets/t1/sign": answer(200, { transfer: put("store:again") }),
  "POST /v1/tickets/t1/complete": answer(200, { id: "t1", state: "committed", file: FILE }),
  "DELETE /v1/tickets/t1": answer(204),
  "PUT storage": answer(200),
};

/**
 * A client on a stage where all goes well, but for the lines in `script`: a line is an answer for
 * always, a list of answers (the last stays), or a function of the request.
 */
export function stage(script = {}, token = "secret") {
  const lines = { ...WELL, ...script };
  const log = [];
  const naps = [];
  const turns = new Map();
  let now = 1_000_000;
  const play = async (key, request) => {
    log.push({ key, ...request });
    const line = lines[key] ?? problem(404, "not-found");
    if (typeof line === "function") return line(request);
    if (!Array.isArray(line)) return line;
    const turn = turns.get(key) ?? 0;
    turns.set(key, turn + 1);
    return line[Math.min(turn, line.length - 1)];
  };
  const transport = {
    call: (request) => play(`${request.method} ${new URL(request.url).pathname}`, request),
    put: (request) => play("PUT storage", request),
    sleep: async (milliseconds) => {
      naps.push(milliseconds);
      now += milliseconds;
    },
    now: () => now,
    random: () => 1,
  };
  const client = createClient({ endpoint: "https://broker.test/", token, transport });
  return {
    client,
    log,
    naps,
    keys: () => log.map(({ key }) => key),
    count: (key) => log.filter((entry) => entry.key === key).length,
    upload: (options = {}, file = bytes(10)) => client.upload(file, { slot: "photos", ...options }),
  };
}
