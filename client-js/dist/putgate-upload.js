/*! putgate-client 0.1.0 | MIT OR Apache-2.0 */
var __defProp = Object.defineProperty;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __esm = (fn, res, err) => function __init() {
  if (err) throw err[0];
  try {
    return fn && (res = (0, fn[__getOwnPropNames(fn)[0]])(fn = 0)), res;
  } catch (e) {
    throw err = [e], e;
  }
};
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};

// src/errors.ts
function fromProblem(problem3) {
  const { code, status: status2, detail, title } = problem3;
  return new PutgateError(code, status2, detail ?? title ?? code, problem3);
}
function fromAnswer(status2, body) {
  if (isObject(body) && typeof body["code"] === "string") {
    return fromProblem({ ...body, code: body["code"], status: status2 });
  }
  return new PutgateError("bad-answer", status2, `The server answered ${status2} without saying why.`);
}
function cancelled() {
  return new PutgateError("cancelled", 0, "The upload was cancelled.");
}
function asError(thrown) {
  if (thrown instanceof PutgateError) return thrown;
  return new PutgateError("failed", 0, String(thrown), null, thrown);
}
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
var PutgateError;
var init_errors = __esm({
  "src/errors.ts"() {
    "use strict";
    PutgateError = class extends Error {
      constructor(code, status2, detail, problem3 = null, cause) {
        super(`${code}: ${detail}`, cause === void 0 ? {} : { cause });
        const { reason, declared, detected } = problem3 ?? {};
        Object.assign(this, { name: "PutgateError", code, status: status2, detail, reason, declared, detected, problem: problem3 });
      }
    };
  }
});

// src/retry.ts
function next(leg, answer, { tries, renewed, online, random }) {
  const { status: status2, retryAfter } = answer;
  if (status2 === 0 && !online) return "online";
  if (isTransient(answer)) {
    const spent = tries >= TRIES || (retryAfter ?? 0) > MAX_WAIT;
    return spent ? "take" : backoff(tries, retryAfter, random);
  }
  return !renewed && status2 === (leg === "api" ? 401 : 403) ? "renew" : "take";
}
function isTransient({ status: status2, text }) {
  if (status2 === 429) return !text.includes("too-many-open-tickets");
  if (status2 === 400) return text.includes("<Code>RequestTimeout<");
  return status2 === 0 || status2 === 408 || status2 === 425 || status2 >= 500 && status2 !== 507;
}
function backoff(tries, retryAfter, random) {
  return Math.max((retryAfter ?? 0) * 1e3, Math.min(2e4, 500 * 2 ** (tries - 1)) * (0.5 + random / 2));
}
async function persist(transport, { leg, signal, send: send2, renew, offline }) {
  let tries = 0;
  let renewed = !renew;
  for (; ; ) {
    if (signal.aborted) throw cancelled();
    const answer = await send2();
    if (signal.aborted) throw cancelled();
    tries += 1;
    const step = next(leg, answer, { tries, renewed, online: transport.online(), random: transport.random() });
    if (step === "take") return answer;
    if (step === "renew") {
      renewed = true;
      renew?.();
    } else if (step === "online") {
      tries -= 1;
      offline?.(true);
      await sleep(transport, OFFLINE, signal, (wake) => transport.onOnline(wake));
      offline?.(false);
    } else {
      await sleep(transport, step, signal);
    }
  }
}
function linked(outer) {
  const inner = new AbortController();
  const abort = () => inner.abort();
  if (outer.aborted) abort();
  outer.addEventListener("abort", abort);
  return { signal: inner.signal, abort, unlink: () => outer.removeEventListener("abort", abort) };
}
function sleep(transport, milliseconds, signal, also = () => () => {
}) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      quiet();
      deaf();
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const quiet = transport.after(milliseconds, wake);
    const deaf = also(wake);
    signal.addEventListener("abort", wake);
  });
}
async function watched(transport, signal, patience, send2) {
  const inner = linked(signal);
  let until = 0;
  const alive = (patience2) => {
    until = transport.now() + patience2;
  };
  const watch = () => {
    const left = until - transport.now();
    quiet = left > 0 ? transport.after(left, watch) : (inner.abort(), () => {
    });
  };
  let quiet = () => {
  };
  alive(patience);
  watch();
  try {
    return await send2(inner.signal, alive);
  } finally {
    quiet();
    inner.unlink();
  }
}
var TRIES, MAX_WAIT, STALL, LAST_STALL, CALL_STALL, OFFLINE;
var init_retry = __esm({
  "src/retry.ts"() {
    "use strict";
    init_errors();
    TRIES = 8;
    MAX_WAIT = 60;
    STALL = 3e4;
    LAST_STALL = 12e4;
    CALL_STALL = 6e4;
    OFFLINE = 6e4;
  }
});

// src/api.ts
function success({ status: status2, text, retryAfter }) {
  if (status2 === 0) {
    throw new PutgateError("api-unreachable", 0, "The upload service does not answer. Check the connection.");
  }
  let body = null;
  try {
    body = text === "" ? null : JSON.parse(text);
  } catch {
    throw fromAnswer(status2, null);
  }
  if (status2 < 200 || status2 > 299) throw fromAnswer(status2, body);
  return { status: status2, body, retryAfter };
}
function objectOf(answer) {
  if (!isObject(answer.body)) {
    throw new PutgateError("bad-answer", answer.status, "The server's answer is not a JSON object.");
  }
  return answer.body;
}
async function ask(caller, id, method, verb, options = {}) {
  const { signal, offline, desk } = caller;
  return objectOf(await desk.api.call(method, `/v1/tickets/${id}${verb}`, { signal, offline, ...options }));
}
var NEVER, Api, LOST;
var init_api = __esm({
  "src/api.ts"() {
    "use strict";
    init_errors();
    init_retry();
    NEVER = new AbortController().signal;
    Api = class {
      transport;
      endpoint;
      #getToken;
      #renewable;
      #token = null;
      constructor(endpoint, token, transport) {
        this.endpoint = endpoint.replace(/\/+$/, "");
        this.#getToken = async () => typeof token === "string" ? token : token();
        this.#renewable = typeof token !== "string";
        this.transport = transport;
      }
      /** Calls `path`; throws a `PutgateError` for anything but 2xx. */
      async call(method, path, options = {}) {
        const { signal = NEVER, offline } = options;
        let token = null;
        let noToken = null;
        const send2 = async () => {
          token = this.#token ??= this.#getToken();
          try {
            noToken = null;
            return await this.#send(method, path, await token, options, signal);
          } catch (error) {
            this.#forget(token);
            noToken = new PutgateError("token-unavailable", 0, `There is no token. ${error}`, null, error);
            if (error instanceof TypeError) return LOST;
            throw noToken;
          }
        };
        const renew = this.#renewable ? () => this.#forget(token) : void 0;
        if (signal.aborted) throw cancelled();
        const answer = options.once ? await send2() : await persist(this.transport, { leg: "api", signal, send: send2, renew, offline });
        if (noToken) throw noToken;
        return success(answer);
      }
      /** Drops this token, unless another call has fetched a new one in the meantime. */
      #forget(token) {
        if (this.#token === token) this.#token = null;
      }
      #send(method, path, bearer, options, signal) {
        const { body, headers, keepalive = false } = options;
        return watched(
          this.transport,
          signal,
          CALL_STALL,
          (signal2) => this.transport.call({
            method,
            url: this.endpoint + path,
            headers: {
              authorization: `Bearer ${bearer}`,
              accept: "application/json",
              ...body === void 0 ? {} : { "content-type": "application/json" },
              ...headers
            },
            ...body === void 0 ? {} : { body: JSON.stringify(body) },
            signal: signal2,
            keepalive
          })
        );
      }
    };
    LOST = { status: 0, text: "", retryAfter: null };
  }
});

// src/lanes.ts
var FIRST, MOST, Lanes, AdaptiveLanes;
var init_lanes = __esm({
  "src/lanes.ts"() {
    "use strict";
    init_errors();
    FIRST = 4;
    MOST = 5;
    Lanes = class {
      #limit;
      #line = [];
      #busy = 0;
      constructor(limit) {
        this.#limit = limit;
      }
      get limit() {
        return this.#limit;
      }
      set limit(limit) {
        this.#limit = limit;
        this.#advance();
      }
      /** A lane, once one is free; answers what leaves it. Throws `cancelled` when aborted. */
      async enter(signal) {
        if (signal.aborted) throw cancelled();
        if (this.#busy < this.#limit) this.#busy += 1;
        else await this.#stand(signal);
        let left = false;
        return (passed) => {
          if (left) return;
          left = true;
          if (passed) this.learn(passed);
          this.#busy -= 1;
          this.#advance();
        };
      }
      /** Hook of `AdaptiveLanes`. */
      learn(_passed) {
      }
      get full() {
        return this.#busy >= this.#limit;
      }
      #stand(signal) {
        return new Promise((resolve, reject) => {
          const go = () => {
            signal.removeEventListener("abort", leave);
            resolve();
          };
          const leave = () => {
            this.#line.splice(this.#line.indexOf(go), 1);
            reject(cancelled());
          };
          signal.addEventListener("abort", leave, { once: true });
          this.#line.push(go);
        });
      }
      #advance() {
        while (this.#busy < this.#limit) {
          const go = this.#line.shift();
          if (!go) return;
          this.#busy += 1;
          go();
        }
      }
    };
    AdaptiveLanes = class extends Lanes {
      #bytes = 0;
      #count = 0;
      #since = null;
      /** Bytes a millisecond with one lane fewer; 0: not measured. */
      #rate = 0;
      /** Whether the number is found. */
      #settled = false;
      constructor() {
        super(FIRST);
      }
      learn({ bytes: bytes2, trouble, now }) {
        if (trouble) {
          this.#begin(null);
          this.#rate = 0;
          this.#settled = false;
          this.limit = Math.ceil(this.limit / 2);
          return;
        }
        if (!this.full) return this.#begin(null);
        if (this.#since === null) return this.#begin(now);
        this.#bytes += bytes2;
        this.#count += 1;
        if (this.#settled || this.#count < 2 * this.limit || now === this.#since) return;
        const rate = this.#bytes / (now - this.#since);
        const better = rate > this.#rate * 1.1;
        this.#settled = !better || this.limit === MOST;
        this.#rate = rate;
        if (!better) this.limit -= 1;
        else if (this.limit < MOST) this.limit += 1;
        this.#begin(now);
      }
      #begin(now) {
        this.#since = now;
        this.#bytes = 0;
        this.#count = 0;
      }
    };
  }
});

// src/send.ts
function goodUntil(asked, expiresIn) {
  return asked + expiresIn * 1e3 - Math.min(5e3, expiresIn * 250);
}
async function send({ transport, lanes, body, sign, onSent, signal, offline }) {
  let used = null;
  let refused = null;
  const attempt = async () => {
    const leave = await lanes.enter(signal);
    try {
      const { method, url, headers } = used = await sign(refused);
      refused = null;
      const answer2 = await watched(transport, signal, STALL, (signal2, alive) => {
        const sent = (bytes2) => {
          alive(bytes2 < body.size ? STALL : LAST_STALL);
          onSent(bytes2);
        };
        return transport.put({ method, url, headers, body, signal: signal2, onSent: sent });
      });
      if (isGood(answer2)) onSent(body.size);
      else onSent(0);
      if (answer2.status === 0 && !signal.aborted && !await isReadable(body)) throw changed();
      if (!signal.aborted) leave({ bytes: isGood(answer2) ? body.size : 0, trouble: isTransient(answer2), now: transport.now() });
      return answer2;
    } finally {
      leave();
    }
  };
  const renew = () => {
    refused = used;
  };
  const answer = await persist(transport, { leg: "storage", signal, send: attempt, renew, offline });
  if (!isGood(answer)) throw storageError(answer);
}
function isGood({ status: status2 }) {
  return status2 >= 200 && status2 < 300;
}
async function isReadable(body) {
  try {
    await body.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
function changed() {
  return new PutgateError("file-changed", 0, "The file was changed or moved after it was chosen, or cannot be read. Choose it again.");
}
function storageError(answer) {
  const { status: status2, text } = answer;
  if (status2 === 0) {
    return new PutgateError(
      "storage-unreachable",
      0,
      `Storage does not answer. Check the connection; if only this page fails, the bucket's CORS rules must allow PUT from ${origin()}.`
    );
  }
  const word = /<Code>([A-Za-z0-9]+)<\/Code>/.exec(text)?.[1];
  const said = `${status2}${word ? ` ${word}` : ""}.`;
  return isTransient(answer) ? new PutgateError("storage-unreachable", status2, `Storage is in trouble: ${said}`) : new PutgateError("storage-refused", status2, `Storage refused the upload: ${said}`);
}
function origin() {
  return globalThis.location?.origin ?? "this origin";
}
var init_send = __esm({
  "src/send.ts"() {
    "use strict";
    init_errors();
    init_retry();
  }
});

// src/sha256.ts
var sha256_exports = {};
__export(sha256_exports, {
  sha256: () => sha256
});
function rootsOfPrimes(count2, power) {
  const roots = [];
  for (let n = 2; roots.length < count2; n += 1) {
    let prime = true;
    for (let d = 2; d * d <= n; d += 1) if (n % d === 0) prime = false;
    if (prime) roots.push(n ** (1 / power) % 1 * 2 ** 32);
  }
  return Int32Array.from(roots, (root) => root | 0);
}
function compress(h, w, bytes2, at) {
  for (let i = 0; i < 16; i += 1) w[i] = bytes2.getInt32(at + 4 * i);
  for (let i = 16; i < 64; i += 1) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = rotate(x, 7) ^ rotate(x, 18) ^ x >>> 3;
    const s1 = rotate(y, 17) ^ rotate(y, 19) ^ y >>> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, z] = h;
  for (let i = 0; i < 64; i += 1) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const t1 = z + s1 + (e & f ^ ~e & g) + K[i] + w[i] | 0;
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const t2 = s0 + (a & b ^ a & c ^ b & c) | 0;
    z = g;
    g = f;
    f = e;
    e = d + t1 | 0;
    d = c;
    c = b;
    b = a;
    a = t1 + t2 | 0;
  }
  [a, b, c, d, e, f, g, z].forEach((x, i) => h[i] = h[i] + x);
}
async function sha256(file, onHashed, stop) {
  const h = rootsOfPrimes(8, 2);
  const w = new Int32Array(64);
  const whole = file.size - file.size % 64;
  for (let at = 0; at < whole; at += SLICE) {
    const view2 = new DataView(await file.slice(at, Math.min(at + SLICE, whole)).arrayBuffer());
    if (stop()) return null;
    for (let block = 0; block < view2.byteLength; block += 64) compress(h, w, view2, block);
    onHashed(at + view2.byteLength);
  }
  const rest = new Uint8Array(await file.slice(whole).arrayBuffer());
  const end = new Uint8Array(rest.length < 56 ? 64 : 128);
  end.set(rest);
  end[rest.length] = 128;
  const view = new DataView(end.buffer);
  view.setBigUint64(end.length - 8, BigInt(file.size) * 8n);
  for (let block = 0; block < end.length; block += 64) compress(h, w, view, block);
  const digest = new DataView(new ArrayBuffer(32));
  h.forEach((word, i) => digest.setInt32(4 * i, word));
  return btoa(String.fromCharCode(...new Uint8Array(digest.buffer)));
}
var SLICE, K, rotate;
var init_sha256 = __esm({
  "src/sha256.ts"() {
    "use strict";
    SLICE = 4 * 1024 * 1024;
    K = rootsOfPrimes(64, 3);
    rotate = (x, by) => x >>> by | x << 32 - by;
  }
});

// src/parts.ts
var parts_exports = {};
__export(parts_exports, {
  fillParts: () => fillParts
});
async function fillParts(job, id, plan, begun, onTicket) {
  const { part_size: size, part_count: count2 } = plan;
  const missing = new Set(Array.from({ length: count2 }, (_, i) => i + 1));
  const sent = /* @__PURE__ */ new Map();
  let total = 0;
  if (begun) {
    const { parts: parts2 } = await ask(job, id, "GET", "/parts");
    for (const part of parts2) {
      const planned = part.number < count2 ? size : job.file.size - size * (count2 - 1);
      if (part.size === planned && missing.delete(part.number)) total += part.size;
    }
  }
  job.phase("uploading", total);
  const onSent = (number, bytes2) => {
    total += bytes2 - (sent.get(number) ?? 0);
    sent.set(number, bytes2);
    job.loaded(total);
  };
  const parts = { job, id, plan, missing, onSent, onTicket };
  await job.stretch((signal) => sendParts(parts, signal));
}
async function sendParts(parts, outer) {
  const { job, plan, missing } = parts;
  const { file, lanes } = job;
  const { size: whole, lastModified } = file;
  const inner = linked(outer);
  const signer = new Signer(parts, inner.signal);
  const waiting = [...missing].sort((a, b) => a - b);
  const worker = async () => {
    for (let number = waiting.shift(); number !== void 0; number = waiting.shift()) {
      const n = number;
      if (file.size !== whole || file.lastModified !== lastModified) throw changed();
      const from = (n - 1) * plan.part_size;
      await send({
        transport: job.desk.api.transport,
        lanes,
        body: file.slice(from, Math.min(from + plan.part_size, file.size)),
        sign: (refused) => signer.get(n, refused, waiting),
        onSent: (bytes2) => parts.onSent(n, bytes2),
        signal: inner.signal,
        offline: job.offline
      });
      missing.delete(n);
      signer.sent(n);
    }
  };
  const workers = Array.from({ length: Math.min(MOST, waiting.length) }, worker);
  try {
    await Promise.all(workers);
  } catch (error) {
    inner.abort();
    await Promise.allSettled(workers);
    throw error;
  } finally {
    inner.unlink();
  }
}
var BATCH, FIRST_BATCH, Signer;
var init_parts = __esm({
  "src/parts.ts"() {
    "use strict";
    init_api();
    init_errors();
    init_lanes();
    init_retry();
    init_send();
    BATCH = 100;
    FIRST_BATCH = 8;
    Signer = class {
      #parts;
      #now;
      #signal;
      #stock = /* @__PURE__ */ new Map();
      #began;
      #sent = 0;
      /** Seconds a URL lives, once known. */
      #life = 0;
      constructor(parts, signal) {
        this.#parts = parts;
        this.#signal = signal;
        this.#now = parts.job.desk.api.transport.now;
        this.#began = this.#now();
      }
      /** A request for this part that is good now, and not the refused one; `next` are the parts that come after it. */
      async get(number, refused, next2) {
        if (refused) this.#stock.delete(number);
        this.#fill([number, ...next2.slice(0, BATCH)], 1);
        const signed = await this.#stock.get(number).signed;
        this.#fill(next2, this.#parts.job.lanes.limit);
        return signed;
      }
      sent(number) {
        this.#stock.delete(number);
        this.#sent += 1;
      }
      /** Orders as many as can be used in half the life of a URL, when one of the first `due` is not in stock. */
      #fill(numbers, due) {
        const now = this.#now();
        const lacks = (number) => !((this.#stock.get(number)?.good ?? 0) > now);
        if (!numbers.slice(0, due).some(lacks)) return;
        const pace = this.#sent / Math.max(1, now - this.#began);
        const ahead = this.#sent === 0 ? FIRST_BATCH : Math.ceil(pace * this.#life * 500);
        this.#order(numbers.slice(0, Math.min(BATCH, Math.max(ahead, this.#parts.job.lanes.limit))).filter(lacks));
      }
      #order(numbers) {
        const { job, id, onTicket } = this.#parts;
        const asked = this.#now();
        const body = { parts: numbers };
        const answer = ask(job, id, "POST", "/sign", { body, signal: this.#signal });
        answer.then(onTicket, () => {
        });
        for (const number of numbers) {
          const signed = answer.then(({ transfer: transfer2, parts }) => {
            const part = parts?.find((candidate) => candidate.number === number);
            if (!part || !transfer2) throw new PutgateError("bad-answer", 200, `The server did not sign part ${number}.`);
            this.#life = transfer2.expires_in;
            order.good = goodUntil(asked, transfer2.expires_in);
            return { method: "PUT", ...part, expires_in: transfer2.expires_in, good: order.good };
          });
          const order = { signed, good: Infinity };
          this.#stock.set(number, order);
          signed.catch(() => order.good = 0);
        }
      }
    };
  }
});

// src/resume.ts
var resume_exports = {};
__export(resume_exports, {
  openMemory: () => openMemory
});
async function openMemory(now = Date.now) {
  let database;
  try {
    database = await openDatabase();
    await prune(database, now());
  } catch {
    return null;
  }
  const quietly = async (mode, act) => {
    try {
      return await request(act(database.transaction(STORE, mode).objectStore(STORE)));
    } catch {
      return void 0;
    }
  };
  const put = async (key, entry) => {
    await quietly("readwrite", (store) => store.put(entry, key));
  };
  const place = async (key, since) => {
    const found = await quietly("readonly", (store) => store.get(key));
    const entry = found && found.expires > now() ? found : null;
    let writing = Promise.resolve();
    let known2 = 0;
    const write = (entry2) => writing = writing.then(() => put(key, entry2));
    return {
      ticket: entry?.ticket ?? null,
      ours: (entry?.ended ?? 0) >= since,
      keep({ id, expires_at }) {
        const expires = Date.parse(expires_at ?? "");
        if (Number.isNaN(expires) || expires === known2) return;
        known2 = expires;
        void write({ ticket: id, expires });
      },
      end: (ticket) => write({ ticket, ended: now(), expires: now() + ECHO })
    };
  };
  return {
    async around({ file, about, signal, onWait }, work) {
      const key = await fingerprint(file, JSON.stringify(about));
      if (key === null) return work(NOWHERE);
      let since = Infinity;
      const wait = () => {
        since = now();
        onWait();
      };
      return alone(key, signal, wait, async () => work(await place(key, since)));
    }
  };
}
async function fingerprint(file, about) {
  const { name, lastModified, webkitRelativePath = "" } = file;
  if (name === void 0 || lastModified === void 0) return null;
  const marks = JSON.stringify([about, name, webkitRelativePath, file.size, lastModified]);
  try {
    return await sha256(new Blob([marks, file.slice(0, EDGE), file.slice(-EDGE)]), () => {
    }, () => false);
  } catch {
    return null;
  }
}
async function alone(key, signal, onWait, work) {
  const locks = globalThis.navigator?.locks;
  if (!locks) return work();
  const name = `putgate:${key}`;
  let begun = false;
  const begin = () => {
    begun = true;
    return work();
  };
  const busy = /* @__PURE__ */ Symbol();
  try {
    const first = await locks.request(name, { ifAvailable: true }, (lock) => lock ? begin() : busy);
    if (first !== busy) return first;
    onWait();
    return await locks.request(name, { signal }, begin);
  } catch (error) {
    if (begun) throw error;
    if (signal.aborted) throw cancelled();
    return work();
  }
}
function openDatabase() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE).createIndex("expires", "expires");
    opening.onsuccess = () => {
      const database = opening.result;
      database.onversionchange = () => database.close();
      resolve(database);
    };
    setTimeout(() => reject(new Error("no answer")), PATIENCE);
    opening.onerror = () => reject(opening.error);
    opening.onblocked = () => reject(new Error("blocked"));
  });
}
function prune(database, now) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, "readwrite");
    const walk = transaction.objectStore(STORE).index("expires").openCursor(IDBKeyRange.upperBound(now));
    walk.onsuccess = () => {
      walk.result?.delete();
      walk.result?.continue();
    };
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}
function request(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
var DATABASE, STORE, EDGE, ECHO, PATIENCE, NOWHERE;
var init_resume = __esm({
  "src/resume.ts"() {
    "use strict";
    init_errors();
    init_sha256();
    DATABASE = "putgate";
    STORE = "uploads";
    EDGE = 64 * 1024;
    ECHO = 6e5;
    PATIENCE = 3e3;
    NOWHERE = { ticket: null, ours: false, keep() {
    }, async end() {
    } };
  }
});

// src/ui/bind.ts
init_errors();

// src/ui/given.ts
function holdsFiles(transfer2) {
  return transfer2 !== null && [...transfer2.types].includes("Files");
}
async function filesOf(transfer2) {
  const found = [];
  for (const item of transfer2.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.() ?? null;
    const file = item.getAsFile();
    if (entry?.isDirectory) found.push(within(entry));
    else if (file !== null) found.push(Promise.resolve([file]));
  }
  return (await Promise.all(found)).flat();
}
async function within(folder) {
  const reader = folder.createReader();
  const files = [];
  for (; ; ) {
    const entries = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (entries.length === 0) return files;
    for (const entry of entries) {
      if (entry.isDirectory) files.push(...await within(entry));
      else {
        const file = await new Promise(
          (resolve) => entry.file(resolve, () => resolve(null))
        );
        if (file !== null && !/^(\.DS_Store|Thumbs\.db|desktop\.ini)$/i.test(file.name)) files.push(file);
      }
    }
  }
}
function takeFiles(zone, take, over) {
  let depth = 0;
  const listeners = [
    ["dragenter", (event) => {
      if (!holdsFiles(event.dataTransfer)) return;
      event.preventDefault();
      depth += 1;
      over(true);
    }],
    ["dragover", (event) => {
      const { dataTransfer } = event;
      if (!holdsFiles(dataTransfer)) return;
      event.preventDefault();
      dataTransfer.dropEffect = "copy";
    }],
    ["dragleave", (event) => {
      if (!holdsFiles(event.dataTransfer)) return;
      depth = Math.max(0, depth - 1);
      if (depth === 0) over(false);
    }],
    ["drop", (event) => {
      const { dataTransfer } = event;
      depth = 0;
      over(false);
      if (!holdsFiles(dataTransfer)) return;
      event.preventDefault();
      event.stopPropagation();
      void filesOf(dataTransfer).then(take);
    }],
    ["paste", (event) => {
      const { clipboardData } = event;
      if (!holdsFiles(clipboardData)) return;
      event.preventDefault();
      void filesOf(clipboardData).then(take);
    }]
  ];
  for (const [name, listener] of listeners) zone.addEventListener(name, listener);
  return () => {
    for (const [name, listener] of listeners) zone.removeEventListener(name, listener);
  };
}

// src/ui/holding.ts
var Holding = class {
  /**
   * `pending` answers null when nothing is under way, or a promise of whether all went well.
   * `onHold` is called when a submission begins to wait.
   */
  constructor(form, pending, onHold) {
    this.form = form;
    this.#onSubmit = (event) => {
      const outcome = pending();
      if (outcome === null) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (this.#held) return;
      this.#held = true;
      onHold();
      const { submitter } = event;
      void outcome.then((well) => {
        this.#held = false;
        if (well) form.requestSubmit(submitter?.isConnected === true ? submitter : null);
      });
    };
    form.addEventListener("submit", this.#onSubmit, { capture: true });
  }
  form;
  #held = false;
  #onSubmit;
  release() {
    this.form.removeEventListener("submit", this.#onSubmit, { capture: true });
  }
};

// src/ui/report.ts
function statusOf(state) {
  switch (state) {
    case "committed":
      return "complete";
    case "rejected":
    case "failed":
      return "error";
    case "cancelled":
      return "cancelled";
    default:
      return "uploading";
  }
}
function report(target, upload) {
  const detail = {
    ref: upload.id,
    progress: upload.progress.percent,
    status: statusOf(upload.state),
    uploadName: upload.slot,
    state: upload.state,
    file: upload.result,
    error: upload.error
  };
  target.dispatchEvent(new CustomEvent("putgate:upload:progress", { bubbles: true, composed: true, detail }));
}

// src/ui/intake.ts
var Intake = class {
  constructor(target, host) {
    this.target = target;
    this.host = host;
  }
  target;
  host;
  views = /* @__PURE__ */ new Map();
  /** Null until the slot is known. */
  queue = null;
  slot = null;
  /** Given before the slot was known. */
  #early = [];
  #place = [];
  #opening = null;
  /** In the order they were given. */
  get uploads() {
    return [...this.views.keys()];
  }
  /** The committed files, oldest first. */
  get files() {
    return this.uploads.flatMap(({ result }) => result ?? []);
  }
  /** Whether more files may yet be committed. */
  get coming() {
    return this.#early.length > 0 || this.uploads.some(({ ended }) => !ended);
  }
  /** Asks for the slot, and uploads to it; where it does so already, it goes on. */
  open(client, name, ref) {
    const place = [client, name, ref];
    if (this.#opening && place.every((part, i) => part === this.#place[i])) return;
    this.close();
    this.#place = place;
    const opening = this.#opening = client.slot(name, ref).then(
      (slot) => {
        if (opening === this.#opening) this.#begin(client, slot, ref);
      },
      (error) => {
        if (opening !== this.#opening) return;
        this.#opening = null;
        this.host.trouble(error);
      }
    );
  }
  /** Drops every upload; what was given too early is kept for the next slot. */
  close() {
    for (const upload of this.uploads) this.drop(upload);
    this.#opening = this.queue = this.slot = null;
    this.host.changed(null);
  }
  /** Drops everything. */
  clear() {
    this.#early = [];
    for (const upload of this.uploads) this.drop(upload);
    this.host.changed(null);
  }
  /** Uploads files, as soon as it is known where to. A slot for one takes the last of several, as a dialog would have. */
  add(files) {
    const given = [...files];
    if (this.target.disabled || given.length === 0) return [];
    const single = this.slot?.max_entries === 1;
    if (single) {
      for (const upload of this.uploads) if (!upload.result) this.drop(upload);
    }
    const added = this.queue?.add(single ? given.slice(-1) : given) ?? [];
    if (!this.queue) this.#early.push(...given);
    for (const upload of added) this.#show(upload);
    this.host.changed(null);
    return added;
  }
  drop(upload) {
    this.views.get(upload)?.remove();
    this.views.delete(upload);
    this.queue?.remove(upload);
  }
  /** What a submission has to wait for: whether all went well. */
  pending() {
    return this.coming ? this.#outcome() : null;
  }
  async #outcome() {
    await this.#opening;
    this.queue?.start();
    await Promise.allSettled(this.uploads.map(({ done }) => done));
    return this.#early.length === 0 && this.uploads.every(({ state }) => state === "committed" || state === "cancelled");
  }
  #begin(client, slot, ref) {
    const asked = this.host.auto();
    const autoStart = asked ? asked !== "false" : slot.auto_upload;
    this.slot = slot;
    this.queue = client.queue({ slot: slot.name, autoStart, ...ref === void 0 ? {} : { ref } });
    this.host.ready(slot);
    this.target.dispatchEvent(new CustomEvent("putgate:ready", { bubbles: true, composed: true, detail: slot }));
    this.add(this.#early.splice(0));
  }
  #show(upload) {
    this.views.set(upload, this.host.show(upload));
    const update = () => {
      this.views.get(upload)?.update();
      report(this.target, upload);
    };
    upload.addEventListener("progress", () => {
      update();
      this.host.moved();
    });
    upload.addEventListener("state", () => {
      if (upload.result) this.#makeRoom();
      this.host.changed(upload);
      update();
    });
    update();
  }
  /** In a slot that replaces, the broker has just retired the oldest; so does the list. */
  #makeRoom() {
    const { max_entries = 0, on_full } = this.slot ?? {};
    if (on_full !== "replace" && max_entries !== 1) return;
    const committed = this.uploads.filter(({ result }) => result);
    for (const upload of committed.slice(0, Math.max(0, committed.length - max_entries))) this.drop(upload);
  }
};

// src/ui/strings.ts
var english = {
  choose: "Choose a file",
  chooseMany: "Choose files",
  replace: "Replace",
  drop: "or drop or paste here",
  start: "Upload",
  rules: "Up to {size}.",
  rulesMany: "Up to {size} each, {count} files.",
  waiting: "Waiting",
  waitingForStart: "Ready to upload",
  waitingForNetwork: "Waiting for the network",
  waitingForOtherTab: "Another tab is uploading this file",
  paused: "Paused, {percent} %",
  hashing: "Reading the file",
  uploading: "Uploading, {percent} %{left}",
  verifying: "Checking what arrived",
  committed: "Done",
  cancelled: "Cancelled",
  cancel: "Cancel",
  pause: "Pause",
  resume: "Resume",
  retry: "Try again",
  remove: "Remove",
  actionOf: "{action}: {name}",
  progressOf: "Progress of {name}",
  total: "{done} of {count} done, {percent} %{speed}",
  announce: "{name}: {news}",
  required: "Please choose a file.",
  unfinished: "Please wait until the upload is done, or cancel it.",
  seconds: "{n} s left",
  minutes: "{n} min left",
  hours: "{n} h left",
  problems: {
    "file-too-large": "This file is larger than {limit} allowed here.",
    "type-not-accepted": "Files of this type are not accepted here.",
    "slot-full": "There is no room for another file.",
    "quota-exceeded": "This file does not fit into the space that is left.",
    "content-rejected:empty": "This file is empty.",
    "content-rejected:type-mismatch": "This file is not what its name says: {detail}",
    "content-rejected:type-not-accepted": "Files of this type are not accepted here: {detail}",
    "content-rejected:type-unknown": "Nobody can tell what kind of file this is.",
    "content-rejected:image-too-large": "This picture has too many pixels: {detail}",
    "content-rejected:active-content": "This file holds a script, so it is not accepted.",
    "content-rejected:malformed": "This file is damaged: {detail}",
    "content-rejected:size-mismatch": "The file changed while it was uploaded. Please try again.",
    "content-rejected:checksum-mismatch": "The file changed while it was uploaded. Please try again.",
    "file-changed": "The file changed while it was uploaded. Please choose it again.",
    "ticket-expired": "The upload took too long. Please try again.",
    "too-many-open-tickets": "Too many uploads at once. Please wait a moment and try again.",
    unauthenticated: "You are not signed in any more. Please sign in and try again.",
    forbidden: "You may not upload here.",
    "api-unreachable": "The server does not answer. Please try again.",
    "storage-unreachable": "The connection broke. Please try again."
  }
};
function strings(own = {}) {
  return { ...english, ...own, problems: { ...english.problems, ...own.problems } };
}
function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => name in values ? String(values[name]) : whole);
}

// src/ui/words.ts
function bytes(count2) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count2;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1e3;
    unit += 1;
  }
  return `${value.toFixed(unit > 0 && value < 9.95 ? 1 : 0).replace(/\.0$/, "")} ${units[unit]}`;
}
function timeLeft(seconds2, say) {
  if (seconds2 < 90) return fill(say.seconds, { n: Math.max(1, Math.round(seconds2)) });
  if (seconds2 < 5400) return fill(say.minutes, { n: Math.round(seconds2 / 60) });
  return fill(say.hours, { n: Math.round(seconds2 / 3600) });
}
function problem(error, say) {
  const text = say.problems[`${error.code}:${error.reason}`] ?? say.problems[error.code] ?? "{detail}";
  const limit = error.problem?.["limit"];
  return fill(text, { detail: error.detail, limit: typeof limit === "number" ? `the ${bytes(limit)}` : "is" });
}
function status(upload, say) {
  const { percent, timeLeft: seconds2 } = upload.progress;
  switch (upload.state) {
    case "waiting":
      if (upload.paused) return fill(say.paused, { percent });
      if (upload.waitingFor === "start") return say.waitingForStart;
      if (upload.waitingFor === "network") return say.waitingForNetwork;
      if (upload.waitingFor === "other-tab") return say.waitingForOtherTab;
      return say.waiting;
    case "hashing":
      return say.hashing;
    case "uploading":
      return fill(say.uploading, { percent, left: seconds2 === null ? "" : `, ${timeLeft(seconds2, say)}` });
    case "verifying":
      return say.verifying;
    case "committed":
      return say.committed;
    case "cancelled":
      return say.cancelled;
    case "rejected":
    case "failed":
      return upload.error === null ? "" : problem(upload.error, say);
  }
}

// src/ui/row.ts
var LARGEST_THUMB = 3e7;
function actionsFor(upload) {
  switch (upload.state) {
    case "waiting":
      return upload.paused ? ["resume", "cancel"] : ["cancel"];
    case "hashing":
    case "verifying":
      return ["cancel"];
    case "uploading":
      return ["pause", "cancel"];
    case "committed":
    case "rejected":
      return ["remove"];
    case "failed":
    case "cancelled":
      return ["retry", "remove"];
  }
}
function make(tag, name, text = "") {
  const element2 = document.createElement(tag);
  element2.className = name;
  element2.setAttribute("part", name);
  if (text !== "") element2.textContent = text;
  return element2;
}
var Bar = class {
  element = make("div", "bar");
  #fill = make("div", "fill");
  constructor(label) {
    this.element.setAttribute("role", "progressbar");
    this.element.setAttribute("aria-valuemin", "0");
    this.element.setAttribute("aria-valuemax", "100");
    this.element.setAttribute("aria-label", label);
    this.element.append(this.#fill);
    this.show(0);
  }
  show(percent) {
    this.element.setAttribute("aria-valuenow", String(percent));
    this.#fill.style.inlineSize = `${percent}%`;
  }
};
var Row = class {
  constructor(upload, say, act) {
    this.upload = upload;
    this.say = say;
    this.act = act;
    const { name, size, file } = upload;
    this.#bar = new Bar(fill(say.progressOf, { name }));
    const line = make("div", "line");
    const called = make("span", "name", name);
    called.dir = "auto";
    called.title = name;
    line.append(called, make("span", "size", bytes(size)));
    this.#thumb.setAttribute("aria-hidden", "true");
    this.#thumb.textContent = (/\.([a-z0-9]{1,5})$/i.exec(name)?.[1] ?? "file").toUpperCase();
    this.element.append(this.#thumb, line, this.#bar.element, this.#status, this.#actions);
    if (file.type.startsWith("image/") && size <= LARGEST_THUMB) this.#preview(file);
    this.update();
  }
  upload;
  say;
  act;
  element = make("li", "item");
  #thumb = make("div", "thumb");
  #status = make("p", "status");
  #actions = make("div", "actions");
  #bar;
  #shown = "";
  #picture = null;
  /** Shows the upload as it is now. */
  update() {
    const { upload, say } = this;
    this.element.dataset["state"] = upload.state;
    this.#bar.show(upload.progress.percent);
    this.#status.textContent = status(upload, say);
    const actions = actionsFor(upload);
    if (this.#shown === actions.join()) return;
    this.#shown = actions.join();
    const focused = this.#actions.contains(this.element.getRootNode().activeElement);
    this.#actions.replaceChildren(
      ...actions.map((action) => {
        const button = make("button", "small", say[action]);
        button.type = "button";
        button.setAttribute("part", `button ${action}`);
        button.setAttribute("aria-label", fill(say.actionOf, { action: say[action], name: upload.name }));
        button.addEventListener("click", () => this.act(action, this));
        return button;
      })
    );
    if (focused) this.focus();
  }
  focus() {
    this.#actions.querySelector("button")?.focus();
  }
  /** Takes it off the page. */
  remove() {
    if (this.#picture !== null) URL.revokeObjectURL(this.#picture);
    this.element.remove();
  }
  #preview(file) {
    const image = new Image();
    const url = URL.createObjectURL(file);
    this.#picture = url;
    image.alt = "";
    image.decoding = "async";
    image.addEventListener("load", () => this.#thumb.replaceChildren(image));
    image.src = url;
  }
};

// src/index.ts
init_api();
init_lanes();

// src/policy.ts
init_api();
init_errors();
var FRESH = 6e4;
var Policies = class {
  #api;
  #known = /* @__PURE__ */ new Map();
  constructor(api) {
    this.#api = api;
  }
  /** The slot, with its usage for `ref`; as fetched at most `age` milliseconds ago. */
  get(name, ref, age = FRESH) {
    const path = `/v1/slots/${encodeURIComponent(name)}${ref === void 0 ? "" : `?ref=${encodeURIComponent(ref)}`}`;
    const now = this.#api.transport.now();
    const known2 = this.#known.get(path);
    if (known2 && now - known2.at < age) return known2.slot;
    const slot = this.#api.call("GET", path).then((answer) => objectOf(answer));
    this.#known.set(path, { slot, at: now });
    slot.catch(() => this.#known.delete(path));
    return slot;
  }
};
function refusal(slot, file) {
  const { size } = file.file;
  if (size === 0) return problem2("invalid-request", 400, "The file is empty.");
  if (size > slot.max_file_size) {
    const detail = `${size} bytes, the slot takes ${slot.max_file_size}`;
    return problem2("file-too-large", 413, detail, { limit: slot.max_file_size });
  }
  if (isForeign(slot, file)) {
    const { accept } = slot;
    const declared = file.file.type;
    const detail = `the slot takes ${accept.join(", ")}, not ${declared}`;
    return problem2("type-not-accepted", 422, detail, { accept, declared });
  }
  return null;
}
function room({ on_full, max_entries, usage }) {
  return on_full === "reject" ? Math.max(0, max_entries - usage.files) : Infinity;
}
function full({ max_entries }) {
  return problem2("slot-full", 409, `the slot holds ${max_entries} files`, { limit: max_entries });
}
function isForeign({ accept = [], accepted }, { name, file: { type } }) {
  const declared = type.split(";")[0].trim().toLowerCase();
  const extension = /[^/\\](\.[^./\\]+?)[ .]*$/.exec(name)?.[1]?.toLowerCase() ?? "";
  if (!accept.length || !accepted || !/^[^/]+\/[^/]+$/.test(declared) || declared.endsWith("/octet-stream")) return false;
  const admits = (item) => item === extension || item === declared || item.endsWith("/*") && (item === "*/*" || declared.startsWith(item.slice(0, -1)));
  return !accept.some(admits) && !accepted.extensions.includes(extension) && !accepted.types.includes(declared);
}
function problem2(code, status2, detail, members = {}) {
  return fromProblem({ code, status: status2, detail, ...members });
}

// src/queue.ts
init_lanes();

// src/meter.ts
var WINDOW = 8e3;
var FIRST2 = 1e3;
var Meter = class {
  #samples = [];
  /** The progress at `now`; `done`: everything is committed. */
  read(now, loaded, total, done) {
    const samples = this.#samples;
    const last = samples.at(-1);
    if (last && loaded < last[1]) samples.length = 0;
    while (samples.length > 1 && now - samples[1][0] > WINDOW) samples.shift();
    if (samples.length > 1 && now - samples.at(-2)[0] < 100) samples.pop();
    samples.push([now, loaded]);
    const [since, before] = samples[0];
    const speed = now - since >= FIRST2 && !done ? (loaded - before) * 1e3 / (now - since) : null;
    return {
      loaded,
      total,
      // Bytes that wait for their verdict are not done.
      percent: done ? 100 : total === 0 ? 0 : Math.min(99, Math.floor(loaded / total * 100)),
      speed,
      timeLeft: speed ? (total - loaded) / speed : null
    };
  }
  /** Forgets what was measured: nothing moves on purpose. */
  reset() {
    this.#samples = [];
  }
};

// src/upload.ts
init_errors();
init_retry();

// src/run.ts
init_api();
init_errors();
init_retry();
init_send();
var WAIT = 20;
var ROUNDS = 3;
async function run(job) {
  job.phase("turn");
  await job.turn();
  const { file, name, signal, desk } = job;
  const { slot: slotName, ref, metadata } = job.options;
  const opening = desk.memory();
  const slot = await unlessAborted(desk.policies.get(slotName, ref).catch(() => null), signal);
  const refused = slot && refusal(slot, job);
  if (refused) throw refused;
  const memory = await opening;
  const errand = { file, about: [desk.api.endpoint, slotName, ref, name, metadata], signal, onWait: () => job.phase("other-tab") };
  return memory ? memory.around(errand, (place) => fill2(job, slot, place)) : fill2(job, slot, null);
}
async function fill2(job, slot, place) {
  job.phase("turn");
  const old = await known(job, place);
  if (!old) job.ticket = null;
  const found = old ?? await minted(job, slot);
  if (!("state" in found)) return found;
  job.ticket = found.id;
  const onTicket = (ticket) => place?.keep(ticket);
  onTicket(found);
  try {
    const file = await deliver(job, found, old !== null, onTicket);
    await place?.end(found.id);
    return file;
  } catch (thrown) {
    const error = job.signal.aborted ? cancelled() : asError(thrown);
    const kept = isForAnotherTry(error);
    const look = OVER.includes(error.code) ? cancel : kept ? whatCommitted : null;
    const committed = await look?.(job.desk.api, found.id) ?? null;
    if (committed || !kept) {
      await place?.end(found.id);
      job.ticket = null;
    }
    if (committed) return committed;
    throw error;
  }
}
async function deliver(job, { id, transfer: first }, begun, onTicket) {
  for (let round = 1; ; round += 1) {
    try {
      if (job.delivered !== id) await transfer(job, id, round === 1 ? first : void 0, begun || round > 1, onTicket);
      job.delivered = id;
    } catch (error) {
      if (!(error instanceof PutgateError && error.code === "storage-refused" && error.status === 404 && round < ROUNDS)) throw error;
    }
    job.phase("verifying", job.file.size);
    try {
      return await verdict(job, id);
    } catch (error) {
      const code = error instanceof PutgateError ? error.code : "";
      if (code !== "parts-missing" && code !== "object-missing") throw error;
      job.delivered = null;
      if (round === ROUNDS) throw error;
    }
  }
}
async function known(job, place) {
  const own = job.ticket !== null;
  const id = job.ticket ?? place?.ticket;
  if (!id) return null;
  try {
    const ticket = await ask(job, id, "GET", "");
    if (ticket.file && (own || place?.ours)) return ticket.file;
    if (ticket.state === "rejected" && !own && place?.ours && ticket.problem) throw fromProblem(ticket.problem);
    return ticket.state === "open" && ticket.size === job.file.size ? await resign(job, id) : null;
  } catch (thrown) {
    const { code } = asError(thrown);
    if (code === "not-found" || code === "ticket-expired" || code === "ticket-closed") return null;
    if (job.signal.aborted) void cancel(job.desk.api, id);
    throw thrown;
  }
}
async function minted(job, slot) {
  const { file, name, signal, desk, options } = job;
  const digest = options.checksum && !goesInParts(slot, file) ? await hash(job) : void 0;
  job.phase("turn");
  if (signal.aborted) throw cancelled();
  const body = {
    slot: options.slot,
    ref: options.ref,
    files: [{ name, size: file.size, type: file.type || void 0, sha256: digest, metadata: options.metadata }]
  };
  const key = job.mintKey ??= randomKey();
  const call = desk.api.call("POST", "/v1/tickets", { body, headers: { "idempotency-key": key }, offline: job.offline });
  try {
    const ticket = await unlessAborted(call.then(firstTicket), signal, ({ id }) => void cancel(desk.api, id));
    job.mintKey = null;
    return ticket.file ?? ticket;
  } catch (thrown) {
    if (!isForAnotherTry(asError(thrown))) job.mintKey = null;
    throw thrown;
  }
}
function goesInParts(slot, file) {
  return file.size > (slot?.part_size ?? 5 * 1024 ** 3);
}
async function hash(job) {
  job.phase("hashing");
  const { sha256: sha2562 } = await Promise.resolve().then(() => (init_sha256(), sha256_exports));
  const read = sha2562(job.file, job.loaded, () => job.signal.aborted);
  const digest = await read.catch(() => Promise.reject(changed()));
  if (digest === null) throw cancelled();
  return digest;
}
function firstTicket(answer) {
  const { tickets, errors } = objectOf(answer);
  const ticket = tickets?.[0];
  if (ticket) return ticket;
  const refused = errors?.[0];
  if (refused) throw fromProblem(refused.problem);
  throw new PutgateError("bad-answer", answer.status, "The server minted no ticket and gave no reason.");
}
function randomKey() {
  return crypto.getRandomValues(new Uint8Array(16)).join("-");
}
function unlessAborted(promise, signal, late = () => {
}) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      promise.then(late, () => {
      });
      reject(cancelled());
    };
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).then(() => signal.removeEventListener("abort", abort));
  });
}
async function transfer(job, id, fresh, begun, onTicket) {
  const { api } = job.desk;
  const sign = async (signal) => {
    const ticket = await resign(job, id, signal);
    onTicket(ticket);
    return ticket.transfer;
  };
  const first = fresh ?? await sign(job.signal);
  if (first?.kind === "put") {
    job.phase("uploading");
    const signed = { ...first, good: goodUntil(api.transport.now(), first.expires_in) };
    return job.stretch((signal) => onePut(job, signed, sign, signal));
  }
  if (first?.kind !== "multipart") {
    throw new PutgateError("bad-answer", 201, "The ticket came without a transfer that this client knows.");
  }
  const { fillParts: fillParts2 } = await Promise.resolve().then(() => (init_parts(), parts_exports));
  await fillParts2(job, id, first, begun, onTicket);
}
function resign(job, id, signal = job.signal) {
  return ask(job, id, "POST", "/sign", { body: {}, signal });
}
function onePut(job, first, resign2, signal) {
  const { transport } = job.desk.api;
  let signed = first;
  const sign = async (refused) => {
    if (signed === refused || transport.now() >= signed.good) {
      const asked = transport.now();
      const fresh = await resign2(signal);
      if (fresh?.kind === "put") signed = { ...fresh, good: goodUntil(asked, fresh.expires_in) };
    }
    return signed;
  };
  return send({ transport, lanes: job.lanes, body: job.file, sign, onSent: job.loaded, signal, offline: job.offline });
}
async function verdict({ desk: { api }, signal, offline }, id) {
  for (; ; ) {
    const asked = api.transport.now();
    const answer = await api.call("POST", `/v1/tickets/${id}/complete?wait=${WAIT}`, { signal, offline });
    const { state, file } = objectOf(answer);
    if (file) return file;
    if (state !== "open") throw new PutgateError("not-found", 404, "The file was deleted as soon as it was committed.");
    const pause = answer.retryAfter ?? (api.transport.now() - asked < 1e3 ? 1 : 0);
    await sleep(api.transport, pause * 1e3, signal);
  }
}
var OVER = ["cancelled", "file-changed", "storage-refused"];
function isForAnotherTry({ code, status: status2 }) {
  const trouble = status2 === 0 || status2 >= 500 || status2 === 401 || status2 === 429 || code === "bad-answer" || code.endsWith("-missing");
  return trouble && !OVER.includes(code);
}
async function cancel(api, id) {
  try {
    await api.call("DELETE", `/v1/tickets/${id}`, { keepalive: true, once: true });
    return null;
  } catch {
    return whatCommitted(api, id);
  }
}
async function whatCommitted(api, id) {
  try {
    return objectOf(await api.call("GET", `/v1/tickets/${id}`, { once: true })).file ?? null;
  } catch {
    return null;
  }
}

// src/upload.ts
var FRAME = 50;
var REFUSALS = ["content-rejected", "type-not-accepted", "file-too-large", "slot-full", "quota-exceeded", "invalid-request"];
function endOf({ code }) {
  if (REFUSALS.includes(code)) return "rejected";
  return code === "cancelled" || code === "ticket-closed" ? "cancelled" : "failed";
}
function hear(target, { onProgress }) {
  if (onProgress) target.addEventListener("progress", (event) => onProgress(event.detail));
}
var count = 0;
var FileUpload = class extends EventTarget {
  id = `putgate-${count += 1}`;
  file;
  name;
  size;
  type;
  slot;
  ref;
  result = null;
  error = null;
  progress;
  done;
  #settle;
  #desk;
  #turns;
  #options;
  #meter = new Meter();
  #job;
  #phase = "turn";
  #started = false;
  #paused = false;
  #offline = 0;
  #loaded = 0;
  #told = 0;
  /** What listeners heard last. */
  #said = "";
  #stop = new AbortController();
  /** Ends the present stretch, for a pause. */
  #stretch = null;
  /** Gives the turn to the next. */
  #leave = null;
  #wake = [];
  #onAbort = () => this.cancel();
  /** `turns` is the queue's; null: it is always this upload's turn. */
  constructor(desk, file, options, turns, lanes) {
    super();
    this.#desk = desk;
    this.#turns = turns;
    this.#options = options;
    this.file = file;
    this.name = options.name ?? file.name ?? "file";
    this.size = file.size;
    this.type = file.type;
    this.slot = options.slot;
    this.ref = options.ref;
    this.progress = this.#read();
    this.#job = this.#makeJob(lanes);
    this.#promise();
    this.#said = this.#news();
    hear(this, options);
    options.signal?.addEventListener("abort", this.#onAbort);
    if (options.autoStart !== false) this.start();
    if (options.signal?.aborted) this.cancel();
  }
  get state() {
    return this.waitingFor === null ? this.#phase : "waiting";
  }
  get waitingFor() {
    const phase = this.#phase;
    if (this.ended) return null;
    if (!this.#started) return "start";
    if (this.#paused && phase !== "hashing" && phase !== "verifying") return "resume";
    if (phase === "turn" || phase === "other-tab") return phase;
    return this.#offline > 0 ? "network" : null;
  }
  get paused() {
    return this.#paused;
  }
  get ended() {
    return (this.result ?? this.error) !== null;
  }
  get ticket() {
    return this.#job.ticket ?? this.result?.id ?? null;
  }
  start() {
    if (this.#started || this.ended) return;
    this.#started = true;
    this.#tell();
    void this.#run();
  }
  pause() {
    if (this.#paused || this.ended) return;
    this.#paused = true;
    this.#stretch?.abort();
    if (this.waitingFor) this.#leaveTurn();
    this.#meter.reset();
    this.#tell();
    this.#progress(true);
  }
  resume() {
    if (!this.#paused) return;
    this.#paused = false;
    this.#tell();
    this.#wake.splice(0).forEach((wake) => wake());
  }
  cancel() {
    if (this.ended) return;
    this.#stop.abort();
    this.#wake.splice(0).forEach((wake) => wake());
    if (!this.#started) this.#end(cancelled());
  }
  /** Ends it before it began, for a reason known without asking. */
  refuse(error) {
    if (this.ended || this.ticket !== null) return;
    this.#stop.abort(error);
    if (!this.#started) this.#end(error);
  }
  retry() {
    if (!this.error) return this.done;
    this.#stop = new AbortController();
    this.#job.signal = this.#stop.signal;
    this.#paused = false;
    this.#started = true;
    this.error = null;
    this.#phase = "turn";
    this.#loaded = 0;
    this.#promise();
    this.#options.signal?.addEventListener("abort", this.#onAbort);
    this.#progress(true);
    this.#tell();
    if (this.#options.signal?.aborted) this.cancel();
    void this.#run();
    return this.done;
  }
  #promise() {
    this.done = new Promise((resolve, reject) => this.#settle = { resolve, reject });
    this.done.catch(() => {
    });
  }
  async #run() {
    const { signal } = this.#stop;
    try {
      this.#end(await run(this.#job));
    } catch (thrown) {
      const stopped = signal.reason instanceof PutgateError ? signal.reason : cancelled();
      this.#end(signal.aborted ? stopped : asError(thrown));
    }
  }
  #end(outcome) {
    this.#leaveTurn();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#offline = 0;
    const error = outcome instanceof PutgateError ? outcome : null;
    if (error) {
      this.error = error;
      this.#phase = endOf(error);
      this.#settle.reject(error);
    } else {
      this.result = outcome;
      this.#phase = "committed";
      this.#loaded = this.size;
      this.#settle.resolve(this.result);
    }
    this.#meter.reset();
    this.#progress(true);
    this.#tell();
    this.dispatchEvent(new CustomEvent(error ? "error" : "done", { detail: outcome }));
  }
  #makeJob(lanes) {
    return {
      desk: this.#desk,
      lanes,
      file: this.file,
      name: this.name,
      options: this.#options,
      signal: this.#stop.signal,
      ticket: null,
      delivered: null,
      mintKey: null,
      phase: (phase, loaded = 0) => {
        if (phase === this.#phase) return;
        this.#phase = phase;
        this.#loaded = loaded;
        this.#meter.reset();
        if (phase === "verifying") this.#sent();
        this.#progress(true);
        this.#tell();
      },
      loaded: (bytes2) => {
        this.#loaded = bytes2;
        this.#progress(bytes2 >= this.size);
      },
      offline: (waiting) => {
        this.#offline = Math.max(0, this.#offline + (waiting ? 1 : -1));
        this.#tell();
      },
      turn: () => this.#takeTurn(),
      stretch: (work) => this.#inStretches(work)
    };
  }
  async #takeTurn() {
    for (; ; ) {
      if (this.#stop.signal.aborted) throw cancelled();
      if (this.#paused) {
        this.#leaveTurn();
        await new Promise((resolve) => this.#wake.push(resolve));
      } else if (this.#leave || !this.#turns) return;
      else this.#leave = await this.#turns.enter(this.#stop.signal);
    }
  }
  /** All bytes are there: the next may begin while this one is judged, unless they go one by one. */
  #sent() {
    if (this.#turns && this.#turns.limit > 1) this.#leaveTurn();
  }
  #leaveTurn() {
    this.#leave?.();
    this.#leave = null;
  }
  async #inStretches(work) {
    const outer = this.#stop.signal;
    for (; ; ) {
      await this.#takeTurn();
      const stretch = this.#stretch = linked(outer);
      try {
        return await work(stretch.signal);
      } catch (error) {
        if (outer.aborted || !stretch.signal.aborted) throw error;
      } finally {
        stretch.unlink();
        this.#stretch = null;
      }
    }
  }
  #news() {
    return `${this.state} ${this.waitingFor} ${this.#paused}`;
  }
  #tell() {
    const news = this.#news();
    if (news === this.#said) return;
    this.#said = news;
    this.dispatchEvent(new CustomEvent("state", { detail: this.state }));
  }
  #read() {
    const now = this.#desk.api.transport.now();
    return this.#meter.read(now, this.#loaded, this.size, this.#phase === "committed");
  }
  /** At most a few times a second, but for what must be shown. */
  #progress(must) {
    const now = this.#desk.api.transport.now();
    if (!must && now - this.#told < FRAME) return;
    this.#told = now;
    this.progress = this.#read();
    this.dispatchEvent(new CustomEvent("progress", { detail: this.progress }));
  }
};

// src/queue.ts
var FileQueue = class extends EventTarget {
  items = [];
  progress;
  #desk;
  #options;
  #turns;
  #lanes;
  #meter = new Meter();
  #most;
  #paused = false;
  #started;
  /** Whether `done` has not been told of the last that was added. */
  #busy = false;
  #awaited = [];
  constructor(desk, files, options) {
    super();
    this.#desk = desk;
    this.#options = options;
    this.#most = options.concurrency ?? MOST;
    this.#turns = new Lanes(options.oneByOne ? 1 : this.#most);
    this.#lanes = options.concurrency ? new Lanes(options.concurrency) : desk.lanes;
    this.#started = options.autoStart !== false;
    this.progress = this.#read();
    hear(this, options);
    this.add(files);
  }
  get paused() {
    return this.#paused;
  }
  get oneByOne() {
    return this.#turns.limit === 1;
  }
  set oneByOne(oneByOne) {
    this.#turns.limit = oneByOne ? 1 : this.#most;
  }
  get done() {
    return new Promise((resolve) => this.#busy ? this.#awaited.push(resolve) : resolve(this.items));
  }
  add(files, options = {}) {
    const { onProgress: _, ...common } = this.#options;
    const added = [...files].map((file) => {
      const upload = new FileUpload(this.#desk, file, { ...common, ...options, autoStart: false }, this.#turns, this.#lanes);
      upload.addEventListener("state", () => this.#changed(upload));
      upload.addEventListener("progress", () => this.#progress());
      return upload;
    });
    this.items = [...this.items, ...added];
    void this.#check(added);
    this.#changed(null);
    this.#progress();
    for (const upload of added) {
      if (this.#paused) upload.pause();
      if (this.#started) upload.start();
    }
    return added;
  }
  remove(upload) {
    upload.cancel();
    this.items = this.items.filter((item) => item !== upload);
    this.#changed(null);
    this.#progress();
  }
  start() {
    this.#started = true;
    for (const upload of this.items) upload.start();
  }
  pause() {
    this.#paused = true;
    for (const upload of this.items) upload.pause();
    this.#changed(null);
  }
  resume() {
    this.#paused = false;
    for (const upload of this.items) upload.resume();
    this.#changed(null);
  }
  cancel() {
    for (const upload of this.items) upload.cancel();
  }
  retry() {
    for (const upload of this.items) if (upload.state === "failed") void upload.retry();
  }
  /** Refuses at once what the policy refuses, long before its turn comes. */
  async #check(added) {
    for (const ref of new Set(added.map(({ ref: ref2 }) => ref2))) {
      const mine = added.filter((upload) => upload.ref === ref);
      try {
        const slot = await this.#desk.policies.get(this.#options.slot, ref, mine.length > 1 ? 0 : void 0);
        for (const upload of mine) {
          const refused = refusal(slot, upload);
          if (refused) upload.refuse(refused);
        }
        if (mine.length === 1) continue;
        for (const upload of mine.filter(({ ended }) => !ended).slice(room(slot))) upload.refuse(full(slot));
      } catch {
      }
    }
  }
  #changed(upload) {
    this.dispatchEvent(new CustomEvent("state", { detail: upload }));
    const busy = this.items.some(({ ended }) => !ended);
    const done = this.#busy && !busy;
    this.#busy = busy;
    if (!done) return;
    for (const resolve of this.#awaited.splice(0)) resolve(this.items);
    this.dispatchEvent(new CustomEvent("done", { detail: this.items }));
  }
  #read() {
    const counted = this.items.filter(({ error }) => !error);
    const sum = (of) => counted.reduce((total, upload) => total + of(upload), 0);
    const loaded = sum(({ state, progress }) => state === "hashing" ? 0 : progress.loaded);
    const done = counted.length > 0 && counted.every(({ result }) => result);
    return this.#meter.read(this.#desk.api.transport.now(), loaded, sum(({ size }) => size), done);
  }
  #progress() {
    this.progress = this.#read();
    this.dispatchEvent(new CustomEvent("progress", { detail: this.progress }));
  }
};

// src/transport.ts
var NO_ANSWER = { status: 0, text: "", retryAfter: null };
var browser = {
  async call({ method, url, headers, body, signal, keepalive }) {
    try {
      const response = await fetch(url, {
        method,
        headers,
        body: body ?? null,
        signal,
        keepalive: keepalive ?? false,
        credentials: "same-origin",
        cache: "no-store"
      });
      return {
        status: response.status,
        text: await response.text(),
        retryAfter: seconds(response.headers.get("retry-after"), Date.now())
      };
    } catch {
      return NO_ANSWER;
    }
  },
  put({ method, url, headers, body, signal, onSent }) {
    return new Promise((resolve) => {
      const xhr = new XMLHttpRequest();
      const abort = () => xhr.abort();
      const done = (answer) => {
        signal.removeEventListener("abort", abort);
        resolve(answer);
      };
      xhr.open(method, url);
      for (const [name, value] of Object.entries(headers)) {
        xhr.setRequestHeader(name, value);
      }
      xhr.upload.onprogress = (event) => onSent(event.loaded);
      xhr.onload = () => {
        const retryAfter = xhr.getAllResponseHeaders().includes("retry-after") ? seconds(xhr.getResponseHeader("retry-after"), Date.now()) : null;
        done({ status: xhr.status, text: xhr.responseText, retryAfter });
      };
      xhr.onerror = xhr.ontimeout = xhr.onabort = () => done(NO_ANSWER);
      if (signal.aborted) return done(NO_ANSWER);
      signal.addEventListener("abort", abort);
      xhr.send(body.slice(0, body.size, ""));
    });
  },
  after(milliseconds, ring) {
    const timer = setTimeout(ring, milliseconds);
    return () => clearTimeout(timer);
  },
  now: () => Date.now(),
  random: () => Math.random(),
  online: () => globalThis.navigator?.onLine !== false,
  onOnline(listener) {
    globalThis.addEventListener?.("online", listener);
    return () => globalThis.removeEventListener?.("online", listener);
  }
};
function seconds(header, now) {
  if (header === null) return null;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, (date - now) / 1e3);
}

// src/index.ts
function createClient({ endpoint, token, concurrency, resume = true, transport = browser }) {
  const api = new Api(endpoint, token, transport);
  const policies = new Policies(api);
  const lanes = concurrency ? new Lanes(concurrency) : new AdaptiveLanes();
  const desk = { api, policies, lanes, memory: remembering(resume) };
  const get = async (path) => objectOf(await api.call("GET", path));
  function upload(what, options) {
    if (Symbol.iterator in what) return new FileQueue(desk, what, options);
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
    }
  };
}
function remembering(resume) {
  if (typeof resume === "object") return async () => resume;
  let opened;
  return () => opened ??= resume && "indexedDB" in globalThis ? Promise.resolve().then(() => (init_resume(), resume_exports)).then(({ openMemory: openMemory2 }) => openMemory2()).catch(() => null) : Promise.resolve(null);
}
function queryString(query) {
  const given = Object.entries(query).filter(([, value]) => value !== void 0);
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

// src/ui/start.ts
function tokenFrom(url) {
  return async () => {
    const answer = await fetch(url, { credentials: "same-origin", cache: "no-store", headers: { accept: "application/json" } });
    const body = answer.ok ? await answer.json().catch(() => null) : null;
    const token = typeof body === "object" && body !== null && "token" in body ? body.token : void 0;
    if (typeof token !== "string") throw new Error(`No token at ${url}: the answer was ${answer.status}.`);
    return token;
  };
}
var clients = /* @__PURE__ */ new Map();
function clientFor(endpoint, tokenUrl) {
  const key = JSON.stringify([endpoint, tokenUrl]);
  let client = clients.get(key);
  if (client === void 0) {
    client = createClient({ endpoint, token: tokenFrom(tokenUrl) });
    clients.set(key, client);
  }
  return client;
}
function acceptOf(slot) {
  if (slot.accept.length === 0) return "";
  const { extensions = [], types = [] } = slot.accepted ?? {};
  return [.../* @__PURE__ */ new Set([...slot.accept, ...extensions, ...types])].join(",");
}

// src/ui/bind.ts
var bound = /* @__PURE__ */ new WeakMap();
function bindUploads(root = document, options = {}) {
  return [...root.querySelectorAll("input[type=file][data-putgate-upload]")].map((input) => {
    let binding = bound.get(input);
    if (binding === void 0) {
      binding = new Field(input, options);
      bound.set(input, binding);
    }
    return binding;
  });
}
var Field = class {
  constructor(input, { client, strings: own }) {
    this.input = input;
    this.#say = strings(own);
    this.#name = input.name;
    this.#required = input.required;
    input.removeAttribute("name");
    this.#hidden.hidden = true;
    input.after(this.#hidden);
    this.#intake = new Intake(input, {
      show: (upload) => this.#show(upload),
      changed: () => this.#changed(),
      moved: () => this.#showTotal(),
      auto: () => input.dataset["putgateAutoUpload"] ?? input.dataset["putgateUploadAutoUpload"],
      ready: (slot) => {
        if (slot.accept.length > 0) input.accept = acceptOf(slot);
        input.multiple = slot.max_entries > 1;
      },
      trouble: (error) => this.#trouble(error)
    });
    const take = () => {
      this.#intake.add(input.files ?? []);
      input.value = "";
    };
    input.addEventListener("change", take);
    this.#undo.push(() => input.removeEventListener("change", take));
    for (const zone of this.#marked("drop")) {
      const over = (hovering) => zone.classList.toggle("upload-dragover", hovering);
      this.#undo.push(takeFiles(zone, (files) => this.#intake.add(files), over));
    }
    if (input.form !== null) {
      const holding = new Holding(input.form, () => this.#intake.pending(), () => void 0);
      const onReset = () => this.#intake.clear();
      const { form } = input;
      form.addEventListener("reset", onReset);
      this.#undo.push(() => holding.release(), () => form.removeEventListener("reset", onReset));
    }
    this.#changed();
    take();
    try {
      this.#intake.open(client ?? clientOf(input), input.dataset["putgateUpload"] ?? "", input.dataset["putgateRef"]);
    } catch (error) {
      this.#trouble(error);
    }
  }
  input;
  #intake;
  #say;
  #name;
  #undo = [];
  #hidden = document.createElement("span");
  #required;
  get queue() {
    return this.#intake.queue;
  }
  release() {
    for (const undo of this.#undo.splice(0)) undo();
    this.#intake.close();
    this.#hidden.remove();
    if (this.#name !== "") this.input.name = this.#name;
    this.input.required = this.#required;
    bound.delete(this.input);
  }
  #trouble(error) {
    const words = error instanceof PutgateError ? problem(error, this.#say) : String(error);
    for (const zone of this.#marked("preview")) zone.replaceChildren(alert(words));
    this.input.dispatchEvent(new CustomEvent("putgate:upload:error", { bubbles: true, detail: error }));
  }
  /** The elements that are marked for this input's slot. */
  #marked(part) {
    const slot = CSS.escape(this.input.dataset["putgateUpload"] ?? "");
    const scope = this.input.form ?? document;
    const selector = `[data-putgate-upload-${part}="${slot}"], [data-putgate-${part}="${slot}"]`;
    const inForm = [...scope.querySelectorAll(selector)];
    return inForm.length > 0 ? inForm : [...document.querySelectorAll(selector)];
  }
  #show(upload) {
    const cards = this.#marked("preview").map((zone) => {
      const card = this.#card(upload);
      zone.append(card);
      return card;
    });
    return {
      update: () => cards.forEach((card) => paint(card, upload, this.#say)),
      remove: () => cards.forEach((card) => {
        URL.revokeObjectURL(card.querySelector("img")?.src ?? "");
        card.remove();
      })
    };
  }
  #card(upload) {
    const card = element("div", "upload-preview");
    if (upload.type.startsWith("image/") && upload.size <= LARGEST_THUMB) {
      const image = new Image();
      image.className = "upload-preview-image";
      image.alt = "";
      image.addEventListener("error", () => image.remove());
      image.src = URL.createObjectURL(upload.file);
      card.append(image);
    }
    const name = element("span", "upload-preview-name", upload.name);
    name.dir = "auto";
    const cancel2 = element("button", "upload-preview-cancel", this.#say.cancel);
    cancel2.type = "button";
    cancel2.setAttribute("aria-label", fill(this.#say.actionOf, { action: this.#say.cancel, name: upload.name }));
    cancel2.addEventListener("click", () => {
      if (!upload.ended) return upload.cancel();
      this.#intake.drop(upload);
      this.#changed();
    });
    const words = element("span", "upload-preview-status");
    words.setAttribute("role", "status");
    card.append(name, cancel2, words);
    return card;
  }
  #changed() {
    const { files, coming } = this.#intake;
    this.input.required = this.#required && files.length === 0 && !coming;
    this.#hidden.replaceChildren(
      ...(this.#name === "" ? [] : files).map(({ id }) => {
        const field = document.createElement("input");
        field.type = "hidden";
        field.name = this.#name;
        field.value = id;
        return field;
      })
    );
    this.#showTotal();
  }
  #showTotal() {
    const percent = this.#intake.queue?.progress.percent ?? 0;
    for (const place of this.#marked("progress")) {
      if (place instanceof HTMLProgressElement) {
        place.max = 100;
        place.value = percent;
        continue;
      }
      let bar = place.querySelector(".upload-progress-bar");
      if (bar === null) {
        bar = element("div", "upload-progress-bar");
        bar.setAttribute("role", "progressbar");
        bar.setAttribute("aria-valuemin", "0");
        bar.setAttribute("aria-valuemax", "100");
        bar.setAttribute("aria-label", place.getAttribute("aria-label") ?? fill(this.#say.progressOf, { name: this.input.dataset["putgateUpload"] ?? "" }));
        place.append(bar);
      }
      bar.setAttribute("aria-valuenow", String(percent));
      bar.style.inlineSize = `${percent}%`;
    }
  }
};
function clientOf(input) {
  const tokenUrl = input.closest("[data-putgate-token-url]")?.dataset["putgateTokenUrl"];
  if (tokenUrl === void 0) throw new Error("data-putgate-token-url is missing: where does this page get its tokens?");
  return clientFor(input.closest("[data-putgate-endpoint]")?.dataset["putgateEndpoint"] ?? "", tokenUrl);
}
function paint(card, upload, say) {
  card.dataset["uploadState"] = upload.state;
  card.dataset["uploadRef"] = upload.id;
  const words = card.querySelector(".upload-preview-status");
  const text = status(upload, say);
  if (words !== null && words.textContent !== text) words.textContent = text;
  words?.setAttribute("aria-live", upload.ended ? "polite" : "off");
  const button = card.querySelector(".upload-preview-cancel");
  if (button !== null && upload.ended) {
    button.textContent = say.remove;
    button.setAttribute("aria-label", fill(say.actionOf, { action: say.remove, name: upload.name }));
  }
}
function alert(words) {
  const place = element("p", "upload-error", words);
  place.setAttribute("role", "alert");
  return place;
}
function element(tag, name, text = "") {
  const made = document.createElement(tag);
  made.className = name;
  if (text !== "") made.textContent = text;
  return made;
}

// src/ui/element.ts
init_errors();

// src/ui/style.ts
var style = `
:host {
  --_accent: var(--putgate-accent, light-dark(#0b6b5c, #4fd1b8));
  --_on-accent: var(--putgate-on-accent, light-dark(#fff, #06201b));
  --_text: var(--putgate-text, CanvasText);
  --_muted: var(--putgate-muted, color-mix(in srgb, CanvasText 68%, Canvas));
  --_line: var(--putgate-line, color-mix(in srgb, CanvasText 24%, Canvas));
  --_surface: var(--putgate-surface, color-mix(in srgb, CanvasText 4%, Canvas));
  --_danger: var(--putgate-danger, light-dark(#b3261e, #ffb4ab));
  --_radius: var(--putgate-radius, 12px);
  display: block;
  color: var(--_text);
  font: inherit;
  line-height: 1.45;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
p, ul { margin: 0; padding: 0; }
ul { list-style: none; }
.drop {
  display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .9rem;
  padding: 1.1rem; border: 1.5px dashed var(--_line); border-radius: var(--_radius); background: var(--_surface);
  transition: border-color .15s, background-color .15s;
}
.drop.over { border-color: var(--_accent); background: color-mix(in srgb, var(--_accent) 12%, Canvas); }
input { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
label, button {
  display: inline-flex; align-items: center; justify-content: center; min-block-size: 2.25rem; min-inline-size: 2.25rem;
  padding: .3rem .9rem; border: 1px solid var(--_line); border-radius: calc(var(--_radius) * .66);
  background: none; color: var(--_text); font: inherit; font-weight: 550; cursor: pointer;
}
label, button.primary { background: var(--_accent); border-color: var(--_accent); color: var(--_on-accent); }
button.small { min-block-size: 1.9rem; padding: .1rem .65rem; font-size: .9em; font-weight: 500; }
label:hover, button:hover { filter: brightness(1.06); }
input:focus-visible + label, button:focus-visible { outline: 3px solid color-mix(in srgb, var(--_accent) 60%, Canvas); outline-offset: 2px; }
input:disabled + label, button:disabled { opacity: .55; cursor: default; }
.hint, .rules { color: var(--_muted); }
.rules { flex-basis: 100%; font-size: .92em; }
.trouble { color: var(--_danger); margin-block-start: .6rem; display: flex; gap: .7rem; align-items: center; flex-wrap: wrap; }
.total { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center; margin-block-start: .8rem; }
.total .bar { flex-basis: 100%; }
.total-words { flex: 1; min-inline-size: 10rem; color: var(--_muted); font-size: .92em; font-variant-numeric: tabular-nums; }
.list { display: grid; gap: .55rem; margin-block-start: .8rem; }
.list:empty, .list:not(:has(li)) { display: none; }
.item {
  display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: .15rem .8rem; align-items: center;
  padding: .6rem .7rem; border: 1px solid var(--_line); border-radius: var(--_radius);
}
.thumb {
  grid-row: 1 / span 3; inline-size: 3rem; block-size: 3rem; border-radius: calc(var(--_radius) * .6); overflow: hidden;
  display: grid; place-items: center; background: color-mix(in srgb, CanvasText 9%, Canvas);
  color: var(--_muted); font-size: .68rem; font-weight: 650;
}
.thumb img { inline-size: 100%; block-size: 100%; object-fit: cover; }
.line { display: flex; gap: .6rem; align-items: baseline; min-inline-size: 0; }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 550; }
.size { color: var(--_muted); font-size: .88em; white-space: nowrap; }
.actions { grid-row: 1 / span 3; grid-column: 3; display: flex; flex-wrap: wrap; gap: .35rem; justify-content: flex-end; }
.status { color: var(--_muted); font-size: .9em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.bar { block-size: .4rem; border-radius: 1rem; overflow: hidden; background: color-mix(in srgb, CanvasText 14%, Canvas); }
.fill { block-size: 100%; inline-size: 0; border-radius: inherit; background: var(--_accent); transition: inline-size .2s; }
.item[data-state="rejected"] .status, .item[data-state="failed"] .status { color: var(--_danger); }
.item:is([data-state="committed"], [data-state="rejected"], [data-state="failed"], [data-state="cancelled"]) .bar { display: none; }
.item[data-state="verifying"] .fill { animation: breathe 1.1s ease-in-out infinite alternate; }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@keyframes breathe { to { opacity: .45; } }
@media (max-width: 30rem) {
  /* One button has room beside the name. */
  .item:not(:has(.actions > :only-child)) { grid-template-columns: auto minmax(0, 1fr); }
  .actions:not(:has(:only-child)) { grid-row: auto; grid-column: 2; justify-content: flex-start; }
  .actions:empty { display: none; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
@media (forced-colors: active) { .fill { background: Highlight; } .drop.over { border-color: Highlight; } }
`;

// src/ui/element.ts
var Element = globalThis.HTMLElement ?? class {
};
var sheet;
var PutgateUpload = class extends Element {
  static formAssociated = true;
  static observedAttributes = ["upload-slot", "ref", "endpoint", "token-url", "disabled", "required", "one-by-one"];
  #internals = this.attachInternals();
  #root = this.attachShadow({ mode: "open", delegatesFocus: true });
  #input = make("input", "input");
  #label = make("label", "choose");
  #hint = make("span", "hint");
  #rules = make("p", "rules");
  #zone = make("div", "drop");
  #trouble = make("p", "trouble");
  #total = make("div", "total");
  #totalWords = make("span", "total-words");
  #start = make("button", "primary");
  #list = make("ul", "list");
  #live = make("p", "unseen");
  #totalBar = new Bar("");
  #intake = new Intake(this, {
    show: (upload) => this.#newRow(upload),
    changed: (upload) => this.#changed(upload),
    moved: () => this.#showTotal(),
    auto: () => this.getAttribute("auto-upload"),
    ready: (slot) => this.#ready(slot),
    trouble: (error) => this.#inTrouble(error)
  });
  #own = null;
  #client = null;
  #strings = strings();
  #holding = null;
  #undo = null;
  #ids = "";
  constructor() {
    super();
    this.#input.type = "file";
    this.#input.id = "file";
    this.#label.htmlFor = "file";
    this.#start.type = "button";
    this.#start.setAttribute("part", "button start");
    this.#start.hidden = true;
    this.#total.hidden = true;
    this.#trouble.hidden = true;
    this.#trouble.setAttribute("role", "alert");
    this.#live.setAttribute("role", "status");
    this.#zone.append(this.#input, this.#label, this.#hint, this.#rules);
    this.#root.append(this.#zone, this.#trouble, this.#total, this.#list, this.#live);
    this.#input.addEventListener("change", () => {
      this.add(this.#input.files ?? []);
      this.#input.value = "";
    });
    this.#start.addEventListener("click", () => this.start());
  }
  /** The client, for pages that make their own. */
  get client() {
    return this.#client;
  }
  set client(client) {
    this.#own = client;
    this.#connect();
  }
  /** The words; a page gives those that it wants otherwise. */
  get strings() {
    return this.#strings;
  }
  set strings(own) {
    this.#strings = strings(own);
    for (const [upload, row] of this.#intake.views) {
      row.remove();
      this.#intake.views.set(upload, this.#newRow(upload));
    }
    this.#words();
  }
  /** The committed files, oldest first. */
  get files() {
    return this.#intake.files;
  }
  /** Their ids. */
  get value() {
    return this.files.map((file) => file.id);
  }
  /** The uploads, in the order they were chosen. */
  get uploads() {
    return this.#intake.uploads;
  }
  get form() {
    return this.#internals.form;
  }
  get name() {
    return this.getAttribute("name") ?? "";
  }
  set name(name) {
    this.setAttribute("name", name);
  }
  get required() {
    return this.hasAttribute("required");
  }
  set required(required) {
    this.toggleAttribute("required", required);
  }
  get disabled() {
    return this.#input.disabled;
  }
  set disabled(disabled) {
    this.toggleAttribute("disabled", disabled);
  }
  get type() {
    return this.localName;
  }
  get validity() {
    return this.#internals.validity;
  }
  get validationMessage() {
    return this.#internals.validationMessage;
  }
  get willValidate() {
    return this.#internals.willValidate;
  }
  checkValidity() {
    return this.#internals.checkValidity();
  }
  reportValidity() {
    return this.#internals.reportValidity();
  }
  /** Uploads files as if they had been chosen. Answers none while the slot is not known; they are kept until then. */
  add(files) {
    return this.#intake.add(files);
  }
  /** Begins what waits for it. */
  start() {
    this.#intake.queue?.start();
  }
  connectedCallback() {
    sheet ??= new CSSStyleSheet();
    if (sheet.cssRules.length === 0) sheet.replaceSync(style);
    this.#root.adoptedStyleSheets = [sheet];
    this.#undo = takeFiles(
      this,
      (files) => this.add(files),
      (over) => {
        this.#zone.classList.toggle("over", over && !this.disabled);
        this.#zone.setAttribute("part", over && !this.disabled ? "drop over" : "drop");
      }
    );
    this.#words();
    this.#connect();
  }
  disconnectedCallback() {
    this.#undo?.();
    this.#undo = null;
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#intake.close();
      this.#client = null;
    });
  }
  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    if (name === "disabled") this.formDisabledCallback(after !== null);
    else if (name === "required") this.#changed(null);
    else if (name === "one-by-one") this.#oneByOne();
    else this.#connect();
  }
  formAssociatedCallback(form) {
    this.#holding?.release();
    this.#holding = form === null ? null : new Holding(form, () => this.#pending(), () => this.#announce(this.#strings.unfinished));
  }
  formDisabledCallback(disabled) {
    this.#input.disabled = disabled;
    this.#start.disabled = disabled;
  }
  formResetCallback() {
    this.#intake.clear();
  }
  /** What a submission has to wait for. */
  #pending() {
    const outcome = this.#intake.pending();
    void outcome?.then((well) => {
      if (!well) this.#rowOf(({ upload: { state } }) => state === "failed" || state === "rejected")?.focus();
    });
    return outcome;
  }
  #rowOf(wanted) {
    return [...this.#intake.views.values()].find(wanted);
  }
  /** Makes the queue anew when the slot, the ref or the client is another one. */
  #connect() {
    const slotName = this.getAttribute("upload-slot");
    if (!this.isConnected || slotName === null || slotName === "") return;
    const client = this.#own ?? this.#fromAttributes();
    if (client === null) return;
    this.#client = client;
    this.#trouble.hidden = true;
    this.#intake.open(client, slotName, this.getAttribute("ref") ?? void 0);
  }
  #fromAttributes() {
    const around = this.closest("[data-putgate-token-url]");
    const tokenUrl = this.getAttribute("token-url") ?? around?.dataset["putgateTokenUrl"];
    if (tokenUrl === void 0 || tokenUrl === null) return null;
    const above = this.closest("[data-putgate-endpoint]");
    return clientFor(this.getAttribute("endpoint") ?? above?.dataset["putgateEndpoint"] ?? "", tokenUrl);
  }
  #ready(slot) {
    this.#input.accept = acceptOf(slot);
    this.#input.multiple = slot.max_entries > 1;
    this.#input.webkitdirectory = this.hasAttribute("directory");
    this.#oneByOne();
    this.#words();
  }
  #oneByOne() {
    const { queue } = this.#intake;
    if (queue) queue.oneByOne = this.hasAttribute("one-by-one");
  }
  #inTrouble(error) {
    const words = error instanceof PutgateError ? problem(error, this.#strings) : String(error);
    const again = make("button", "small", this.#strings.retry);
    again.type = "button";
    again.addEventListener("click", () => this.#connect());
    this.#trouble.replaceChildren(words, again);
    this.#trouble.hidden = false;
  }
  #newRow(upload) {
    const row = new Row(upload, this.#strings, (action, row2) => {
      if (action === "remove") this.#remove(upload, row2);
      else if (action === "retry") void upload.retry().catch(() => void 0);
      else upload[action]();
    });
    this.#list.append(row.element);
    return row;
  }
  #remove(upload, row) {
    const next2 = row.element.nextElementSibling ?? row.element.previousElementSibling;
    this.#intake.drop(upload);
    (this.#rowOf(({ element: element2 }) => element2 === next2) ?? this.#input).focus();
    this.#changed(null);
  }
  /** Tells the form, and the page if the value is another one. */
  #changed(upload) {
    const say = this.#strings;
    if (upload?.ended) this.#announce(fill(say.announce, { name: upload.name, news: status(upload, say) }));
    const ids = this.value;
    const data = new FormData();
    for (const id of ids) data.append(this.name, id);
    this.#internals.setFormValue(this.name === "" || ids.length === 0 ? null : data);
    if (this.required && ids.length === 0 && !this.#intake.coming) {
      this.#internals.setValidity({ valueMissing: true }, say.required, this.#input);
    } else {
      this.#internals.setValidity({});
    }
    this.#words();
    this.#showTotal();
    if (ids.join() === this.#ids) return;
    this.#ids = ids.join();
    this.dispatchEvent(new Event("change", { bubbles: true }));
  }
  #words() {
    const say = this.#strings;
    const { slot } = this.#intake;
    const single = slot?.max_entries === 1;
    const replaces = single && this.files.length > 0;
    this.#label.textContent = replaces ? say.replace : slot !== null && !single ? say.chooseMany : say.choose;
    this.#hint.textContent = say.drop;
    this.#start.textContent = say.start;
    this.#rules.hidden = slot === null;
    if (slot !== null) {
      const facts = { size: bytes(slot.max_file_size), count: slot.max_entries };
      this.#rules.textContent = fill(single ? say.rules : say.rulesMany, facts);
    }
  }
  #showTotal() {
    const say = this.#strings;
    const { uploads, queue } = this.#intake;
    const waiting = uploads.some((upload) => upload.waitingFor === "start");
    this.#start.hidden = !waiting;
    const several = uploads.length > 1 && uploads.some((upload) => !upload.ended);
    this.#total.hidden = !several && !waiting;
    if (queue === null || this.#total.hidden) return;
    const { percent, speed, timeLeft: left } = queue.progress;
    const pace = speed === null ? "" : `, ${bytes(speed)}/s${left === null ? "" : `, ${timeLeft(left, say)}`}`;
    const done = uploads.filter((upload) => upload.state === "committed").length;
    const words = fill(say.total, { done, count: uploads.length, percent, speed: pace });
    this.#totalWords.textContent = several ? words : "";
    this.#totalBar.show(percent);
    this.#totalBar.element.setAttribute("aria-label", fill(say.total, { done, count: uploads.length, percent, speed: "" }));
    this.#totalBar.element.hidden = !several;
    if (this.#total.childElementCount === 0) {
      this.#totalBar.element.setAttribute("part", "bar total-bar");
      this.#total.append(this.#totalWords, this.#start, this.#totalBar.element);
    }
  }
  #announce(words) {
    this.#live.textContent = words;
  }
};
function defineElement(name = "putgate-upload") {
  if (globalThis.customElements !== void 0 && customElements.get(name) === void 0) {
    customElements.define(name, PutgateUpload);
  }
}

// src/ui/auto.ts
defineElement();
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => bindUploads());
else bindUploads();
export {
  PutgateUpload,
  bindUploads,
  defineElement,
  english,
  takeFiles,
  tokenFrom
};
//# sourceMappingURL=putgate-upload.js.map
