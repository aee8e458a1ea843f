import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { PutgateError } from "../build/index.js";
import { FILE, LOST, answer, bytes, problem, stage } from "./stage.mjs";

const MINT = "POST /v1/tickets";
const SIGN = "POST /v1/tickets/t1/sign";
const COMPLETE = "POST /v1/tickets/t1/complete";
const STATE = "GET /v1/tickets/t1";
const CANCEL = "DELETE /v1/tickets/t1";
const PUT = "PUT storage";

test("an upload is mint, put and complete, and resolves with the committed file", async () => {
  const { upload, keys, log } = stage();
  assert.deepEqual(await upload({ ref: "post:42", metadata: { alt: "sea" } }), FILE);
  assert.deepEqual(keys(), [MINT, PUT, COMPLETE]);
  assert.deepEqual(JSON.parse(log[0].body), {
    slot: "photos",
    ref: "post:42",
    files: [{ name: "a.png", size: 10, type: "image/png", metadata: { alt: "sea" } }],
  });
  assert.equal(log[0].url, "https://broker.test/v1/tickets");
  assert.equal(log[2].url, "https://broker.test/v1/tickets/t1/complete?wait=20");
});

test("storage gets the signed headers and nothing of the token", async () => {
  const { upload, log } = stage();
  await upload();
  assert.deepEqual(log[1].headers, { "x-signed": "1" });
  assert.equal(log[1].url, "store:first");
});

test("progress reaches the whole only at the commit", async () => {
  const seen = [];
  const { upload } = stage({ [PUT]: ({ onSent }) => (onSent(60), onSent(200), answer(200)) });
  await upload({ onProgress: (progress) => seen.push({ ...progress }) }, bytes(200));
  const last = seen.pop();
  assert.deepEqual(last, { phase: "verifying", loaded: 200, total: 200 });
  assert.ok(seen.every(({ loaded }) => loaded < 200));
  assert.deepEqual([...new Set(seen.map(({ phase }) => phase))], ["uploading", "verifying"]);
});

test("a checksum is taken before the ticket, and declared in it", async () => {
  const phases = [];
  const { upload, log } = stage();
  await upload({ checksum: true, onProgress: ({ phase }) => phases.push(phase) }, bytes(20));
  const digest = createHash("sha256").update(new Uint8Array(20)).digest("base64");
  assert.equal(JSON.parse(log[0].body).files[0].sha256, digest);
  assert.equal(phases[0], "hashing");
});

test("a refused mint is the server's problem, typed, and no byte moves", async () => {
  const { upload, keys } = stage({ [MINT]: problem(413, "file-too-large", { limit: 5 }) });
  const error = await upload().catch((caught) => caught);
  assert.ok(error instanceof PutgateError && error instanceof Error);
  assert.deepEqual([error.code, error.status, error.detail], ["file-too-large", 413, "said file-too-large"]);
  assert.equal(error.problem.limit, 5);
  assert.deepEqual(keys(), [MINT]);
});

test("a rejected upload says reason, declared and detected, and needs no cancel", async () => {
  const members = { reason: "active-content", declared: "image/png", detected: "text/html" };
  const { upload, count } = stage({ [COMPLETE]: problem(422, "content-rejected", members) });
  await assert.rejects(upload(), { name: "PutgateError", code: "content-rejected", status: 422, ...members });
  assert.equal(count(CANCEL), 0);
});

test("a slow verdict is asked for, with the whole request, until it is there", async () => {
  const open = (retryAfter) => answer(202, { id: "t1", state: "open" }, retryAfter);
  const { upload, keys, naps, log } = stage({
    [COMPLETE]: [open(2), open(null), answer(200, { id: "t1", state: "committed", file: FILE })],
  });
  assert.deepEqual(await upload(), FILE);
  assert.deepEqual(keys(), [MINT, PUT, COMPLETE, COMPLETE, COMPLETE]);
  assert.match(log[4].url, /complete\?wait=20$/);
  assert.deepEqual(naps, [2000, 1000]);
});

test("a slow verdict that is negative is typed too", async () => {
  for (const [status, code] of [[422, "content-rejected"], [410, "ticket-expired"], [409, "ticket-closed"]]) {
    const { upload } = stage({ [COMPLETE]: [answer(202, { state: "open" }, 1), problem(status, code)] });
    await assert.rejects(upload(), { code, status });
  }
});

test("storage's 403 is signed anew, once", async () => {
  const { upload, keys, log } = stage({ [PUT]: [answer(403), answer(200)] });
  await upload();
  assert.deepEqual(keys(), [MINT, PUT, SIGN, PUT, COMPLETE]);
  assert.equal(log[3].url, "store:again");
});

test("storage's second 403 ends the upload and frees the ticket", async () => {
  const refused = answer(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>");
  const { upload, keys } = stage({ [PUT]: refused });
  await assert.rejects(upload(), { code: "storage-refused", status: 403, detail: /SignatureDoesNotMatch/ });
  assert.deepEqual(keys(), [MINT, PUT, SIGN, PUT, CANCEL]);
});

test("a transient failure of storage is tried again, at its own pace when it names one", async () => {
  const { upload, keys, naps } = stage({ [PUT]: [answer(503, "SlowDown", 7), LOST, answer(500), answer(200)] });
  await upload();
  assert.deepEqual(keys(), [MINT, PUT, PUT, PUT, PUT, COMPLETE]);
  assert.deepEqual(naps, [7000, 1000, 2000]);
});

test("storage that never answers is unreachable, with a hint at CORS, and the ticket stays open", async () => {
  const { upload, count } = stage({ [PUT]: LOST });
  await assert.rejects(upload(), { code: "storage-unreachable", status: 0, detail: /CORS/ });
  assert.deepEqual([count(PUT), count(CANCEL), count(COMPLETE)], [5, 0, 0]);
});

test("storage with an outage is unreachable too, and the ticket stays open", async () => {
  const { upload, count } = stage({ [PUT]: answer(503, "<Error><Code>SlowDown</Code></Error>") });
  await assert.rejects(upload(), { code: "storage-unreachable", status: 503, detail: /SlowDown/ });
  assert.equal(count(CANCEL), 0);
});

test("another try of a file that the network lost goes on with its ticket, and after that not any more", async () => {
  const put = [LOST, LOST, LOST, LOST, LOST, answer(200)];
  const { upload, log } = stage({ [PUT]: put });
  const file = bytes(10);
  await assert.rejects(upload({}, file), { code: "storage-unreachable" });
  assert.deepEqual(await upload({}, file), FILE);
  await upload({}, file);
  const keys = log.filter(({ key }) => key === MINT).map(({ headers }) => headers["idempotency-key"]);
  assert.equal(keys[1], keys[0]);
  assert.notEqual(keys[2], keys[0]);
});

test("another client, or other options, do not go on with a ticket", async () => {
  const file = bytes(10);
  const lost = stage({ [PUT]: LOST });
  await assert.rejects(lost.upload({}, file));
  const other = stage();
  await other.upload({}, file);
  await assert.rejects(lost.upload({}, file));
  await assert.rejects(lost.upload({ name: "b.png" }, file));
  const keys = [...lost.log, ...other.log].filter(({ key }) => key === MINT).map(({ headers }) => headers["idempotency-key"]);
  assert.equal(new Set(keys).size, 4);
});

test("a ticket that ended before the other try is replaced, and one that committed is told", async () => {
  const minted = (state) => answer(201, { tickets: [{ id: "t1", state }], errors: [] });
  for (const [state, mints] of [["expired", 3], ["committed", 2]]) {
    const { upload, count } = stage({
      [MINT]: [shortLived(900), minted(state), shortLived(900)],
      [PUT]: [LOST, LOST, LOST, LOST, LOST, answer(200)],
    });
    const file = bytes(10);
    await assert.rejects(upload({}, file));
    assert.deepEqual(await upload({}, file), FILE);
    assert.equal(count(MINT), mints, state);
  }
});

test("a URL that expired between two tries is replaced before it is used", async () => {
  const { upload, keys, log } = stage({ [PUT]: [answer(503, "", 50), answer(200)], [MINT]: shortLived(40) });
  await upload();
  assert.deepEqual(keys(), [MINT, PUT, SIGN, PUT, COMPLETE]);
  assert.equal(log[3].url, "store:again");
});

test("every try of one mint carries the same idempotency key, and another mint another", async () => {
  const { upload, log } = stage({ [MINT]: [LOST, answer(502), shortLived(900)] });
  await upload();
  await upload();
  const keys = log.filter(({ key }) => key === MINT).map(({ headers }) => headers["idempotency-key"]);
  assert.equal(keys.length, 4);
  assert.equal(new Set(keys.slice(0, 3)).size, 1);
  assert.notEqual(keys[3], keys[0]);
});

test("an upload that was cancelled before it began asks nobody", async () => {
  const { upload, keys } = stage();
  await assert.rejects(upload({ signal: AbortSignal.abort() }), { code: "cancelled" });
  assert.deepEqual(keys(), []);
});

test("a ticket that arrives after the cancel is given back", async () => {
  const abort = new AbortController();
  const { promise: minted, resolve } = deferred();
  const { promise: given, resolve: give } = deferred();
  const { upload } = stage({ [MINT]: () => minted, [CANCEL]: () => (give(), answer(204)) });
  const uploading = upload({ signal: abort.signal });
  abort.abort();
  await assert.rejects(uploading, { code: "cancelled" });
  resolve(shortLived(900));
  await given;
});

test("a cancel while bytes move stops them and cancels the ticket", async () => {
  const abort = new AbortController();
  const { upload, keys, log } = stage({
    [PUT]: ({ signal }) => new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(LOST));
      abort.abort();
    }),
  });
  await assert.rejects(upload({ signal: abort.signal }), { code: "cancelled" });
  assert.deepEqual(keys(), [MINT, PUT, CANCEL]);
  assert.equal(log[2].keepalive, true);
});

test("a cancel while the verdict is awaited cancels the ticket", async () => {
  const abort = new AbortController();
  const { upload, keys } = stage({ [COMPLETE]: () => (abort.abort(), LOST) });
  await assert.rejects(upload({ signal: abort.signal }), { code: "cancelled" });
  assert.deepEqual(keys(), [MINT, PUT, COMPLETE, CANCEL]);
});

test("a commit that was faster than the cancel is told as a commit", async () => {
  const committed = {
    [CANCEL]: problem(409, "ticket-closed"),
    [STATE]: answer(200, { id: "t1", state: "committed", file: FILE }),
  };
  for (const step of [PUT, COMPLETE]) {
    const abort = new AbortController();
    const { upload, keys } = stage({ ...committed, [step]: () => (abort.abort(), LOST) });
    assert.deepEqual(await upload({ signal: abort.signal }), FILE, step);
    assert.deepEqual(keys().slice(-3), [step, CANCEL, STATE]);
  }
});

test("a file that was committed although storage's answers were lost is told as a commit", async () => {
  const { upload } = stage({
    [PUT]: LOST,
    [STATE]: answer(200, { id: "t1", state: "committed", file: FILE }),
  });
  assert.deepEqual(await upload(), FILE);
});

test("bytes that arrived are left to the broker when the verdict cannot be asked for", async () => {
  const { upload, count } = stage({ [COMPLETE]: problem(503, "storage-unavailable") });
  await assert.rejects(upload(), { code: "storage-unavailable" });
  assert.deepEqual([count(COMPLETE), count(CANCEL)], [5, 0]);
});

test("a large file goes in parts of the planned size, each once, signed in batches", async () => {
  const { upload, log, count } = multipart(40, { size: 10, file: 395 });
  await upload();
  const parts = log.filter(({ key }) => key === PUT);
  assert.deepEqual(parts.map(({ url }) => Number(url.slice(6))).sort((a, b) => a - b), range(1, 40));
  assert.equal(parts.reduce((sum, { body }) => sum + body.size, 0), 395);
  assert.equal(parts.find(({ url }) => url === "store:40").body.size, 5);
  assert.equal(count(SIGN), 3);
});

test("at most four parts are on the wire", async () => {
  let now = 0;
  let most = 0;
  const { upload } = multipart(12, {
    put: async () => {
      most = Math.max(most, (now += 1));
      await new Promise(setImmediate);
      now -= 1;
      return answer(200);
    },
  });
  await upload();
  assert.equal(most, 4);
});

test("a part that storage refuses stops the others and frees the ticket", async () => {
  const { upload, count } = multipart(40, { put: ({ url }) => answer(url === "store:2" ? 400 : 200) });
  await assert.rejects(upload(), { code: "storage-refused", status: 400 });
  assert.ok(count(PUT) < 12, `${count(PUT)} parts were sent`);
  assert.deepEqual([count(CANCEL), count(COMPLETE)], [1, 0]);
});

test("a part whose URL is refused is signed anew, once", async () => {
  let refused = 0;
  const { upload, count } = multipart(3, { put: ({ url }) => answer(url === "store:2" && refused++ === 0 ? 403 : 200) });
  await upload();
  assert.deepEqual([count(SIGN), count(PUT)], [2, 4]);
});

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

function shortLived(seconds) {
  const transfer = { kind: "put", method: "PUT", url: "store:first", headers: {}, expires_in: seconds };
  return answer(201, { tickets: [{ id: "t1", state: "open", transfer }], errors: [] });
}

function multipart(count, { size = 10, file = count * size, put = () => answer(200) } = {}) {
  const transfer = { kind: "multipart", part_size: size, part_count: count, parts: [], expires_in: 900 };
  const played = stage({
    [MINT]: answer(201, { tickets: [{ id: "t1", state: "open", transfer }], errors: [] }),
    [SIGN]: ({ body }) => {
      const parts = JSON.parse(body).parts.map((number) => ({ number, size, url: `store:${number}`, headers: {} }));
      return answer(200, { id: "t1", state: "open", transfer, parts });
    },
    [PUT]: put,
  });
  return { ...played, upload: () => played.upload({}, bytes(file)) };
}

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
