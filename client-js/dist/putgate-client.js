/*! putgate-client 0.1.0 | MIT OR Apache-2.0 */

// src/errors.ts
var PutgateError = class extends Error {
  code;
  /** HTTP status; 0 when there was no answer. */
  status;
  /** One sentence for people. */
  detail;
  reason;
  declared;
  detected;
  /** The whole problem, with members of its own such as `limit`; null for the client's codes. */
  problem;
  constructor(code, status, detail, problem = null) {
    super(`${code}: ${detail}`);
    this.name = "PutgateError";
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.reason = problem?.reason;
    this.declared = problem?.declared;
    this.detected = problem?.detected;
    this.problem = problem;
  }
};
function fromProblem(problem) {
  const { code, status, detail, title } = problem;
  return new PutgateError(code, status, detail ?? title ?? code, problem);
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
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// src/retry.ts
var TRIES = 5;
var MAX_WAIT = 60;
function isTransient({ status, text }) {
  if (status === 429) return !text.includes("too-many-open-tickets");
  if (status === 400) return text.includes("<Code>RequestTimeout</Code>");
  return status === 0 || status === 408 || status >= 500 && status !== 507;
}
function backoff(attempt, retryAfter, random) {
  if (retryAfter !== null) return retryAfter * 1e3;
  return 500 * 2 ** (attempt - 1) * (0.5 + random / 2);
}
async function persist(transport, send2, signal) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await send2();
    const patience = answer.retryAfter ?? 0;
    if (attempt === TRIES || patience > MAX_WAIT || signal?.aborted || !isTransient(answer)) return answer;
    await transport.sleep(backoff(attempt, answer.retryAfter, transport.random()), signal);
    if (signal?.aborted) return answer;
  }
}

// src/api.ts
var Api = class {
  transport;
  #endpoint;
  #getToken;
  #renewable;
  #token = null;
  constructor(endpoint, token, transport) {
    this.#endpoint = endpoint.replace(/\/+$/, "");
    this.#getToken = async () => typeof token === "string" ? token : token();
    this.#renewable = typeof token !== "string";
    this.transport = transport;
  }
  /** Calls `path`; throws a `PutgateError` for anything but 2xx, or what the token getter threw. */
  async call(method, path, options = {}) {
    const { signal } = options;
    let renewable = this.#renewable;
    for (; ; ) {
      if (signal?.aborted) throw cancelled();
      const token = this.#token ??= this.#getToken();
      const bearer = await this.#read(token);
      const send2 = () => this.#send(method, path, bearer, options);
      const answer = options.once ? await send2() : await persist(this.transport, send2, signal);
      if (signal?.aborted) throw cancelled();
      if (answer.status === 401 && renewable) {
        renewable = false;
        this.#forget(token);
        continue;
      }
      return success(answer);
    }
  }
  /** A failure to get a token is not remembered: the next call asks again. */
  async #read(token) {
    try {
      return await token;
    } catch (error) {
      this.#forget(token);
      throw error;
    }
  }
  /** Drops this token, unless another call has fetched a new one in the meantime. */
  #forget(token) {
    if (this.#token === token) this.#token = null;
  }
  #send(method, path, bearer, options) {
    const { body, headers, signal, keepalive = false } = options;
    return this.transport.call({
      method,
      url: this.#endpoint + path,
      headers: {
        authorization: `Bearer ${bearer}`,
        accept: "application/json",
        ...body === void 0 ? {} : { "content-type": "application/json" },
        ...headers
      },
      ...body === void 0 ? {} : { body: JSON.stringify(body) },
      signal,
      keepalive
    });
  }
};
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

// src/transport.ts
var NO_ANSWER = { status: 0, text: "", retryAfter: null };
var browser = {
  async call({ method, url, headers, body, signal, keepalive }) {
    try {
      const response = await fetch(url, {
        method,
        headers,
        body: body ?? null,
        signal: signal ?? null,
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
        signal?.removeEventListener("abort", abort);
        resolve(answer);
      };
      xhr.open(method, url);
      for (const [name, value] of Object.entries(headers)) {
        xhr.setRequestHeader(name, value);
      }
      if (onSent) xhr.upload.onprogress = (event) => onSent(event.loaded);
      xhr.onload = () => {
        const retryAfter = xhr.getAllResponseHeaders().includes("retry-after") ? seconds(xhr.getResponseHeader("retry-after"), Date.now()) : null;
        done({ status: xhr.status, text: xhr.responseText, retryAfter });
      };
      xhr.onerror = xhr.ontimeout = xhr.onabort = () => done(NO_ANSWER);
      if (signal?.aborted) return done(NO_ANSWER);
      signal?.addEventListener("abort", abort);
      xhr.send(body.slice(0, body.size, ""));
    });
  },
  sleep(milliseconds, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      signal?.addEventListener("abort", done);
    });
  },
  now: () => Date.now(),
  random: () => Math.random()
};
function seconds(header, now) {
  if (header === null) return null;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, (date - now) / 1e3);
}

// src/sha256.ts
var SLICE = 4 * 1024 * 1024;
function rootsOfPrimes(count, power) {
  const roots = [];
  for (let n = 2; roots.length < count; n += 1) {
    let prime = true;
    for (let d = 2; d * d <= n; d += 1) if (n % d === 0) prime = false;
    if (prime) roots.push(n ** (1 / power) % 1 * 2 ** 32);
  }
  return Int32Array.from(roots, (root) => root | 0);
}
var K = rootsOfPrimes(64, 3);
var rotate = (x, by) => x >>> by | x << 32 - by;
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

// src/upload.ts
var PARALLEL = 4;
var SIGN_AHEAD = 16;
var WAIT = 20;
async function upload(api, file, options) {
  const { signal } = options;
  const tell = teller(options, file.size);
  const digest = options.checksum ? await hash(file, tell, signal) : void 0;
  const { ticket, keep } = await mint(api, file, options, digest);
  try {
    if (ticket.state !== "committed") await transferBytes(api, ticket, file, tell, signal);
    tell("verifying", file.size);
    const committed = await complete(api, ticket.id, signal);
    options.onProgress?.({ phase: "verifying", loaded: file.size, total: file.size });
    return committed;
  } catch (error) {
    const committed = await afterFailure(api, ticket.id, error, keep, signal);
    if (committed) return committed;
    throw error;
  }
}
async function afterFailure(api, id, error, keep, signal) {
  const { code, status } = error instanceof PutgateError ? error : { code: "", status: 400 };
  if (signal?.aborted || code === "storage-refused") return cancel(api, id);
  const lost = code === "storage-unreachable";
  if (lost || status === 0 || status >= 500) keep();
  return lost ? whatCommitted(api, id) : null;
}
function teller({ onProgress }, total) {
  return (phase, loaded) => onProgress?.({ phase, loaded: Math.min(loaded, Math.floor(total * 0.99)), total });
}
async function hash(file, tell, signal) {
  const aborted = () => signal?.aborted ?? false;
  tell("hashing", 0);
  const digest = aborted() ? null : await sha256(file, (bytes) => tell("hashing", bytes), aborted);
  if (digest === null) throw cancelled();
  return digest;
}
var kept = /* @__PURE__ */ new WeakMap();
async function mint(api, file, { slot, ref, metadata, name, signal }, digest) {
  if (signal?.aborted) throw cancelled();
  const body = {
    slot,
    ref,
    files: [{ name: name ?? file.name ?? "file", size: file.size, type: file.type || void 0, sha256: digest, metadata }]
  };
  const wish = JSON.stringify(body);
  const ask = async (key) => {
    const minted = api.call("POST", "/v1/tickets", { body, headers: { "idempotency-key": key } }).then(firstTicket);
    const ticket = await unlessAborted(minted, signal, ({ id }) => void cancel(api, id));
    return { ticket, keep: () => kept.set(file, { api, wish, key }) };
  };
  const earlier = kept.get(file);
  kept.delete(file);
  if (earlier?.api === api && earlier.wish === wish) {
    const again = await ask(earlier.key);
    if (again.ticket.state === "open" || again.ticket.state === "committed") return again;
  }
  return ask(randomKey());
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
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
function unlessAborted(promise, signal, late) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => {
      promise.then(late, () => {
      });
      reject(cancelled());
    };
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
async function transferBytes(api, ticket, file, tell, signal) {
  const transfer = ticket.transfer;
  tell("uploading", 0);
  if (transfer?.kind === "put") {
    const resign = async () => {
      const fresh = (await sign(api, ticket.id, void 0, signal)).transfer;
      return fresh?.kind === "put" ? { ...fresh, good: goodUntil(api, fresh.expires_in) } : null;
    };
    const first = { ...transfer, good: goodUntil(api, transfer.expires_in) };
    await send(api, transfer.method, first, resign, file, (sent) => tell("uploading", sent), signal);
  } else if (transfer?.kind === "multipart") {
    await sendParts(api, ticket.id, transfer, file, tell, signal);
  } else {
    throw new PutgateError("bad-answer", 201, "The ticket came without a transfer that this client knows.");
  }
}
async function sendParts(api, id, plan, file, tell, outer) {
  const { part_size: size, part_count: count } = plan;
  const inner = new AbortController();
  const stop = () => inner.abort();
  if (outer?.aborted) stop();
  outer?.addEventListener("abort", stop);
  const signed = /* @__PURE__ */ new Map();
  const signFrom = (first) => {
    const numbers = Array.from({ length: Math.min(SIGN_AHEAD, count - first + 1) }, (_, i) => first + i);
    const answer = sign(api, id, numbers, inner.signal);
    for (const number of numbers) {
      const one = answer.then(({ transfer, parts }) => {
        const part = parts?.find((candidate) => candidate.number === number);
        return part && transfer ? { ...part, good: goodUntil(api, transfer.expires_in) } : null;
      });
      one.catch(() => {
      });
      signed.set(number, one);
    }
  };
  const signedPart = async (number, again) => {
    if (again || !signed.has(number)) signFrom(number);
    return await signed.get(number) ?? null;
  };
  const sent = /* @__PURE__ */ new Map();
  let total = 0;
  const counted = (number, bytes) => {
    total += bytes - (sent.get(number) ?? 0);
    sent.set(number, bytes);
    tell("uploading", total);
  };
  let next = 1;
  const worker = async () => {
    while (next <= count) {
      const number = next++;
      const first = await signedPart(number, false);
      if (!first) throw new PutgateError("bad-answer", 200, `The server did not sign part ${number}.`);
      const slice = file.slice((number - 1) * size, Math.min(number * size, file.size));
      await send(api, "PUT", first, () => signedPart(number, true), slice, (bytes) => counted(number, bytes), inner.signal);
    }
  };
  const workers = Array.from({ length: Math.min(PARALLEL, count) }, worker);
  try {
    await Promise.all(workers);
  } catch (error) {
    inner.abort();
    await Promise.allSettled(workers);
    throw error;
  } finally {
    outer?.removeEventListener("abort", stop);
  }
}
function goodUntil(api, expiresIn) {
  return api.transport.now() + (expiresIn - 1) * 1e3;
}
async function send(api, method, first, resign, body, onSent, signal) {
  const { transport } = api;
  let signed = first;
  const renew = async () => {
    signed = await resign() ?? signed;
  };
  const attempt = async () => {
    if (signal?.aborted) throw cancelled();
    if (transport.now() > signed.good) await renew();
    const { url, headers } = signed;
    return transport.put({ method, url, headers, body, signal, onSent });
  };
  let answer = await persist(transport, attempt, signal);
  if (answer.status === 403 && !signal?.aborted) {
    await renew();
    answer = await persist(transport, attempt, signal);
  }
  if (signal?.aborted) throw cancelled();
  if (answer.status < 200 || answer.status > 299) throw storageError(answer);
  onSent(body.size);
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
  if (isTransient(answer)) {
    return new PutgateError("storage-unreachable", status, `Storage is in trouble: ${status}${word ? ` ${word}` : ""}.`);
  }
  return new PutgateError("storage-refused", status, `Storage refused the upload: ${status}${word ? ` ${word}` : ""}.`);
}
function origin() {
  return globalThis.location?.origin ?? "this origin";
}
async function sign(api, id, parts, signal) {
  return objectOf(await api.call("POST", `/v1/tickets/${id}/sign`, { body: parts ? { parts } : {}, signal }));
}
async function complete(api, id, signal) {
  for (; ; ) {
    const asked = api.transport.now();
    const { body, retryAfter } = await api.call("POST", `/v1/tickets/${id}/complete?wait=${WAIT}`, { signal });
    const ticket = body;
    if (ticket?.state === "committed") {
      if (ticket.file) return ticket.file;
      throw new PutgateError("bad-answer", 200, "The ticket is committed, but its file is missing from the answer.");
    }
    const pause = retryAfter ?? (api.transport.now() - asked < 1e3 ? 1 : 0);
    await api.transport.sleep(pause * 1e3, signal);
  }
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
    const { body } = await api.call("GET", `/v1/tickets/${id}`, { once: true });
    const ticket = body;
    return ticket?.state === "committed" && ticket.file || null;
  } catch {
    return null;
  }
}

// src/index.ts
function createClient({ endpoint, token, transport = browser }) {
  const api = new Api(endpoint, token, transport);
  const get = async (path) => objectOf(await api.call("GET", path));
  return {
    upload: (file, options) => upload(api, file, options),
    slots: async () => (await get("/v1/slots")).slots,
    slot: (name) => get(`/v1/slots/${encodeURIComponent(name)}`),
    files: (query = {}) => get(`/v1/files${queryString(query)}`),
    file: (id) => get(`/v1/files/${encodeURIComponent(id)}`),
    deleteFile: async (id) => {
      await api.call("DELETE", `/v1/files/${encodeURIComponent(id)}`);
    }
  };
}
function queryString(query) {
  const given = Object.entries(query).filter(([, value]) => value !== void 0);
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}
export {
  PutgateError,
  createClient
};
