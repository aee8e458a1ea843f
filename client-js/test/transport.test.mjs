// The browser's side of the transport, with an XMLHttpRequest that plays what browsers do.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { browser } from "../build/transport.js";

class Played {
  static acts = () => {};
  upload = {};
  sent = null;
  headers = {};
  aborted = false;
  open(method, url) {
    Object.assign(this, { method, url });
  }
  setRequestHeader(name, value) {
    this.headers[name] = value;
  }
  getAllResponseHeaders() {
    return this.retryAfter ? `retry-after: ${this.retryAfter}\r\n` : "";
  }
  getResponseHeader() {
    return this.retryAfter;
  }
  abort() {
    this.aborted = true;
    this.onabort();
  }
  send(body) {
    this.sent = body;
    Played.last = this;
    Played.acts(this);
  }
}
globalThis.XMLHttpRequest = Played;
afterEach(() => (Played.last = null));

const body = new File(["0123456789"], "a.png", { type: "image/png" });
const put = (acts, more = {}) => {
  Played.acts = acts;
  const { signal } = new AbortController();
  return browser.put({ method: "PUT", url: "store:1", headers: { "x-signed": "1" }, body, signal, onSent() {}, ...more });
};

test("bytes go with the signed headers, and without a type of the browser's", async () => {
  const answer = await put((xhr) => ((xhr.status = 200), (xhr.responseText = "ok"), xhr.onload()));
  assert.deepEqual(answer, { status: 200, text: "ok", retryAfter: null });
  assert.deepEqual(Played.last.headers, { "x-signed": "1" });
  assert.deepEqual([Played.last.sent.type, Played.last.sent.size], ["", 10]);
  assert.notEqual(Played.last.withCredentials, true);
});

test("an error, a timeout and an abort that nobody asked for are all no answer", async () => {
  for (const event of ["onerror", "ontimeout", "onabort"]) {
    assert.deepEqual(await put((xhr) => xhr[event]()), { status: 0, text: "", retryAfter: null }, event);
  }
});

test("the signal aborts the request, also one that comes too late to be sent", async () => {
  const abort = new AbortController();
  const answer = await put(() => abort.abort(), { signal: abort.signal });
  assert.deepEqual([answer.status, Played.last.aborted], [0, true]);
  Played.last = null;
  assert.equal((await put(() => {}, { signal: AbortSignal.abort() })).status, 0);
  assert.equal(Played.last, null);
});

test("progress and Retry-After are told", async () => {
  const sent = [];
  const answer = await put(
    (xhr) => {
      xhr.upload.onprogress({ loaded: 4 });
      Object.assign(xhr, { status: 503, responseText: "", retryAfter: "7" });
      xhr.onload();
    },
    { onSent: (bytes) => sent.push(bytes) },
  );
  assert.deepEqual([sent, answer.retryAfter], [[4], 7]);
});

test("a call that fails, or whose body is cut off, is no answer", async (t) => {
  const fetch = t.mock.method(globalThis, "fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  const { signal } = new AbortController();
  const call = () => browser.call({ method: "GET", url: "https://broker.test/", headers: {}, signal });
  assert.equal((await call()).status, 0);
  fetch.mock.mockImplementation(async () => ({ status: 200, headers: new Headers(), text: () => Promise.reject(new TypeError("cut")) }));
  assert.equal((await call()).status, 0);
});
