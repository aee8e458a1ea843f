// A broker and a store made of answers, for the tests. Time is the stage's own: when nothing is
// left to do but wait, the clock jumps to the next thing that somebody waits for.
import { createClient } from "../build/index.js";
import "../build/parts.js";
import "../build/sha256.js";

export const FILE = { id: "t1", slot: "photos", name: "a.png", size: 10, type: "image/png" };
export const bytes = (size, name = "a.png") => new File([new Uint8Array(size)], name, { type: "image/png", lastModified: 1 });
export const answer = (status, body, retryAfter = null) => ({
  status,
  text: typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body),
  retryAfter,
});
export const problem = (status, code, members = {}) => answer(status, { status, code, detail: `said ${code}`, ...members });
export const LOST = answer(0);
export const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
export const SLOT = {
  name: "photos",
  accept: [],
  max_file_size: 10_000_000,
  max_entries: 5,
  on_full: "reject",
  part_size: null,
  usage: { files: 0, open_tickets: 0 },
};

export const MINT = "POST /v1/tickets";
export const SIGN = "POST /v1/tickets/t1/sign";
export const PARTS = "GET /v1/tickets/t1/parts";
export const COMPLETE = "POST /v1/tickets/t1/complete";
export const STATE = "GET /v1/tickets/t1";
export const CANCEL = "DELETE /v1/tickets/t1";
export const PUT = "PUT storage";
export const POLICY = "GET /v1/slots/photos";

const put = (url, expires_in) => ({ kind: "put", method: "PUT", url, headers: { "x-signed": "1" }, expires_in });
export const minted = (expires_in = 900) =>
  answer(201, { tickets: [{ id: "t1", slot: "photos", state: "open", transfer: put("store:first", expires_in) }], errors: [] });
/** The answers of a good day. */
export const WELL = {
  [POLICY]: answer(200, SLOT),
  [MINT]: minted(),
  [SIGN]: answer(200, { id: "t1", state: "open", transfer: put("store:again", 900) }),
  [COMPLETE]: answer(200, { id: "t1", state: "committed", file: FILE }),
  [STATE]: answer(200, { id: "t1", state: "open", size: 10 }),
  [CANCEL]: answer(204),
  [PUT]: answer(200),
};
/** Turns of the event loop without news after which the clock may jump: reading a blob takes a few. */
const QUIET = 8;

/** Time that passes only when there is nothing else to do. */
export function makeClock() {
  let now = 1_000_000;
  let news = 0;
  let ticking = false;
  const timers = new Set();
  const tick = (seen, quiet) => {
    if (timers.size === 0) {
      ticking = false;
    } else if (news !== seen) {
      setImmediate(tick, news, 0);
    } else if (quiet < QUIET) {
      setImmediate(tick, seen, quiet + 1);
    } else {
      const next = [...timers].reduce((a, b) => (b.at < a.at ? b : a));
      timers.delete(next);
      now = Math.max(now, next.at);
      next.ring();
      setImmediate(tick, (news += 1), 0);
    }
  };
  return {
    now: () => now,
    stir: () => (news += 1),
    after(milliseconds, ring) {
      const timer = { at: now + milliseconds, ring };
      timers.add(timer);
      news += 1;
      if (!ticking) {
        ticking = true;
        setImmediate(tick, news, 0);
      }
      return () => timers.delete(timer);
    },
  };
}

/**
 * A client on a stage where all goes well, but for the lines in `script`: a line is an answer for
 * always, a function of the request, or a list of these (the last stays).
 */
export function stage(script = {}, { token = "secret", ...options } = {}) {
  const lines = { ...WELL, ...script };
  const all = [];
  const log = [];
  const turns = new Map();
  const clock = makeClock();
  const network = { online: true, listeners: new Set() };
  const play = async (key, request) => {
    const entry = { key, at: clock.now(), ...request };
    all.push(entry);
    if (key !== POLICY) log.push(entry);
    clock.stir();
    const line = lines[key] ?? problem(404, "not-found");
    if (typeof line === "function") return line(request);
    if (!Array.isArray(line)) return line;
    const turn = turns.get(key) ?? 0;
    turns.set(key, turn + 1);
    const said = line[Math.min(turn, line.length - 1)];
    return typeof said === "function" ? said(request) : said;
  };
  const transport = {
    call: (request) => play(`${request.method} ${new URL(request.url).pathname}`, request),
    put: (request) => play(PUT, request),
    after: clock.after,
    now: clock.now,
    random: () => 1,
    online: () => network.online,
    onOnline(listener) {
      network.listeners.add(listener);
      return () => network.listeners.delete(listener);
    },
  };
  const client = createClient({ endpoint: "https://broker.test/", token, transport, ...options });
  return {
    client,
    /** Every request but those for the policy. */
    log,
    clock,
    keys: () => log.map(({ key }) => key),
    count: (key) => all.filter((entry) => entry.key === key).length,
    /** Seconds between the requests of one kind. */
    gaps(key) {
      const times = all.filter((entry) => entry.key === key).map(({ at }) => at);
      return times.slice(1).map((at, i) => (at - times[i]) / 1000);
    },
    network(online) {
      network.online = online;
      if (online) for (const listener of [...network.listeners]) listener();
    },
    /** The upload itself. */
    begin: (options = {}, file = bytes(10)) => client.upload(file, { slot: "photos", ...options }),
    /** What it comes to. */
    upload: (options = {}, file = bytes(10)) => client.upload(file, { slot: "photos", ...options }).done,
  };
}

/** A request that answers only when it is aborted, as a browser does: by silence. */
export const hang = ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(LOST)));

/** A stage for a file of `count` parts; `put` answers for each, `have` are there before. */
export function parts(count, { size = 10, file = count * size, expires_in = 900, have = [], script = {}, ...options } = {}) {
  const transfer = { kind: "multipart", part_size: size, part_count: count, parts: [], expires_in };
  const played = stage(
    {
      [POLICY]: answer(200, { ...SLOT, part_size: size }),
      [MINT]: answer(201, { tickets: [{ id: "t1", slot: "photos", state: "open", transfer }], errors: [] }),
      [SIGN]: ({ body }) => {
        const parts = (JSON.parse(body).parts ?? []).map((number) => ({ number, size, url: `store:${number}`, headers: {} }));
        return answer(200, { id: "t1", state: "open", transfer, parts });
      },
      [PARTS]: answer(200, { parts: have.map((number) => ({ number, size })), part_size: size, part_count: count }),
      [STATE]: answer(200, { id: "t1", state: "open", size: file }),
      ...script,
    },
    options,
  );
  const blob = bytes(file);
  return {
    ...played,
    file: blob,
    numbers: () => played.log.filter(({ key }) => key === PUT).map(({ url }) => Number(url.slice(6))),
    begin: (options = {}) => played.client.upload(blob, { slot: "photos", ...options }),
    upload: (options = {}) => played.client.upload(blob, { slot: "photos", ...options }).done,
  };
}

/** Resolves once `condition` holds; for what happens beside an upload. */
export async function until(condition) {
  for (let turns = 0; !condition(); turns += 1) {
    if (turns > 100_000) throw new Error(`never: ${condition}`);
    await new Promise(setImmediate);
  }
}

export function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
