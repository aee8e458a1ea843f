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
function fromProblem(problem2) {
  const { code, status, detail, title } = problem2;
  return new PutgateError(code, status, detail ?? title ?? code, problem2);
}
function fromAnswer(status, body) {
  if (isObject(body) && typeof body["code"] === "string") {
    return fromProblem({ ...body, code: body["code"], status });
  }
  return new PutgateError("bad-answer", status, `The server answered ${status} without saying why.`);
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
      constructor(code, status, detail, problem2 = null, cause) {
        super(`${code}: ${detail}`, cause === void 0 ? {} : { cause });
        const { reason, declared, detected } = problem2 ?? {};
        Object.assign(this, { name: "PutgateError", code, status, detail, reason, declared, detected, problem: problem2 });
      }
    };
  }
});

// src/retry.ts
function next(leg, answer, { tries, renewed, online, random }) {
  const { status, retryAfter } = answer;
  if (status === 0 && !online) return "online";
  if (isTransient(answer)) {
    const spent = tries >= TRIES || (retryAfter ?? 0) > MAX_WAIT;
    return spent ? "take" : backoff(tries, retryAfter, random);
  }
  return !renewed && status === (leg === "api" ? 401 : 403) ? "renew" : "take";
}
function isTransient({ status, text }) {
  if (status === 429) return !text.includes("too-many-open-tickets");
  if (status === 400) return text.includes("<Code>RequestTimeout<");
  return status === 0 || status === 408 || status === 425 || status >= 500 && status !== 507;
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
function success({ status, text, retryAfter }) {
  if (status === 0) {
    throw new PutgateError("api-unreachable", 0, "The upload service does not answer. Check the connection.");
  }
  let body = null;
  try {
    body = text === "" ? null : JSON.parse(text);
  } catch {
    throw fromAnswer(status, null);
  }
  if (status < 200 || status > 299) throw fromAnswer(status, body);
  return { status, body, retryAfter };
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
      learn({ bytes, trouble, now }) {
        if (trouble) {
          this.#begin(null);
          this.#rate = 0;
          this.#settled = false;
          this.limit = Math.ceil(this.limit / 2);
          return;
        }
        if (!this.full) return this.#begin(null);
        if (this.#since === null) return this.#begin(now);
        this.#bytes += bytes;
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
        const sent = (bytes) => {
          alive(bytes < body.size ? STALL : LAST_STALL);
          onSent(bytes);
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
function isGood({ status }) {
  return status >= 200 && status < 300;
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
  const { status, text } = answer;
  if (status === 0) {
    return new PutgateError(
      "storage-unreachable",
      0,
      `Storage does not answer. Check the connection; if only this page fails, the bucket's CORS rules must allow PUT from ${origin()}.`
    );
  }
  const word = /<Code>([A-Za-z0-9]+)<\/Code>/.exec(text)?.[1];
  const said = `${status}${word ? ` ${word}` : ""}.`;
  return isTransient(answer) ? new PutgateError("storage-unreachable", status, `Storage is in trouble: ${said}`) : new PutgateError("storage-refused", status, `Storage refused the upload: ${said}`);
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
function compress(h, w, bytes, at) {
  for (let i = 0; i < 16; i += 1) w[i] = bytes.getInt32(at + 4 * i);
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
  const onSent = (number, bytes) => {
    total += bytes - (sent.get(number) ?? 0);
    sent.set(number, bytes);
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
        onSent: (bytes) => parts.onSent(n, bytes),
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
  if (size === 0) return problem("invalid-request", 400, "The file is empty.");
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
function room({ on_full, max_entries, usage }) {
  return on_full === "reject" ? Math.max(0, max_entries - usage.files) : Infinity;
}
function full({ max_entries }) {
  return problem("slot-full", 409, `the slot holds ${max_entries} files`, { limit: max_entries });
}
function isForeign({ accept = [], accepted }, { name, file: { type } }) {
  const declared = type.split(";")[0].trim().toLowerCase();
  const extension = /[^/\\](\.[^./\\]+?)[ .]*$/.exec(name)?.[1]?.toLowerCase() ?? "";
  if (!accept.length || !accepted || !/^[^/]+\/[^/]+$/.test(declared) || declared.endsWith("/octet-stream")) return false;
  const admits = (item) => item === extension || item === declared || item.endsWith("/*") && (item === "*/*" || declared.startsWith(item.slice(0, -1)));
  return !accept.some(admits) && !accepted.extensions.includes(extension) && !accepted.types.includes(declared);
}
function problem(code, status, detail, members = {}) {
  return fromProblem({ code, status, detail, ...members });
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
  return memory ? memory.around(errand, (place) => fill(job, slot, place)) : fill(job, slot, null);
}
async function fill(job, slot, place) {
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
function isForAnotherTry({ code, status }) {
  const trouble = status === 0 || status >= 500 || status === 401 || status === 429 || code === "bad-answer" || code.endsWith("-missing");
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
      loaded: (bytes) => {
        this.#loaded = bytes;
        this.#progress(bytes >= this.size);
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
init_errors();
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
export {
  PutgateError,
  createClient
};
//# sourceMappingURL=putgate-client.js.map
