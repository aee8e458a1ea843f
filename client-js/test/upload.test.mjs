import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { PutgateError } from "../build/index.js";
import { TRIES } from "../build/retry.js";
import {
  CANCEL, COMPLETE, FILE, LOST, MINT, POLICY, PUT, SIGN, SLOT, STATE, WELL,
  answer, bytes, deferred, hang, minted, problem, stage, until,
} from "./stage.mjs";

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
  const { upload, clock } = stage({
    [PUT]: ({ onSent }) => new Promise((resolve) => {
      clock.after(2000, () => onSent(60));
      clock.after(3000, () => (onSent(200), resolve(answer(200))));
    }),
  });
  await upload({ onProgress: (progress) => seen.push({ ...progress }) }, bytes(200));
  const last = seen.pop();
  assert.deepEqual(last, { loaded: 200, total: 200, percent: 100, speed: null, timeLeft: null });
  assert.deepEqual(seen.map(({ percent }) => percent), [0, 30, 99, 99, 99]);
  assert.deepEqual([seen[1].speed, seen[1].timeLeft], [30, 140 / 30]);
});

test("a checksum is taken before the ticket, and declared in it", async () => {
  const states = [];
  const { begin, log } = stage();
  const upload = begin({ checksum: true }, bytes(20));
  upload.addEventListener("state", ({ detail }) => states.push(detail));
  await upload.done;
  const digest = createHash("sha256").update(new Uint8Array(20)).digest("base64");
  assert.equal(JSON.parse(log[0].body).files[0].sha256, digest);
  assert.deepEqual(states, ["hashing", "waiting", "uploading", "verifying", "committed"]);
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
  const { upload, keys, gaps, log } = stage({
    [COMPLETE]: [open(2), open(null), answer(200, { id: "t1", state: "committed", file: FILE })],
  });
  assert.deepEqual(await upload(), FILE);
  assert.deepEqual(keys(), [MINT, PUT, COMPLETE, COMPLETE, COMPLETE]);
  assert.match(log[4].url, /complete\?wait=20$/);
  assert.deepEqual(gaps(COMPLETE), [2, 1]);
});

test("a slow verdict that is negative is typed too", async () => {
  for (const [status, code] of [[422, "content-rejected"], [410, "ticket-expired"], [409, "ticket-closed"]]) {
    const { upload } = stage({ [COMPLETE]: [answer(202, { state: "open" }, 1), problem(status, code)] });
    await assert.rejects(upload(), { code, status });
  }
});

test("storage's second 403 ends the upload and frees the ticket", async () => {
  const refused = answer(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>");
  const { upload, keys } = stage({ [PUT]: refused });
  await assert.rejects(upload(), { code: "storage-refused", status: 403, detail: /SignatureDoesNotMatch/ });
  assert.deepEqual(keys(), [MINT, PUT, SIGN, PUT, CANCEL]);
});

test("storage that never answers is unreachable, with a hint at CORS, and the ticket stays open", async () => {
  const { upload, count } = stage({ [PUT]: LOST });
  await assert.rejects(upload(), { code: "storage-unreachable", status: 0, detail: /CORS/ });
  assert.deepEqual([count(PUT), count(CANCEL), count(COMPLETE)], [TRIES, 0, 0]);
});

test("storage with an outage is unreachable too, and the ticket stays open", async () => {
  const { upload, count } = stage({ [PUT]: answer(503, "<Error><Code>SlowDown</Code></Error>") });
  await assert.rejects(upload(), { code: "storage-unreachable", status: 503, detail: /SlowDown/ });
  assert.equal(count(CANCEL), 0);
});

test("a URL that expired between two tries is replaced before it is used", async () => {
  const { upload, keys, log } = stage({ [PUT]: [answer(503, "", 50), answer(200)], [MINT]: minted(40) });
  await upload();
  assert.deepEqual(keys(), [MINT, PUT, SIGN, PUT, COMPLETE]);
  assert.equal(log[3].url, "store:again");
});

test("every try of one mint carries the same idempotency key, and another mint another", async () => {
  const { upload, log } = stage({ [MINT]: [LOST, answer(502), minted()] });
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
  const { promise: slow, resolve } = deferred();
  const { promise: given, resolve: give } = deferred();
  const { upload, count } = stage({ [MINT]: () => slow, [CANCEL]: () => (give(), answer(204)) });
  const uploading = upload({ signal: abort.signal });
  await until(() => count(MINT) === 1);
  abort.abort();
  await assert.rejects(uploading, { code: "cancelled" });
  resolve(minted());
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
  assert.deepEqual([count(COMPLETE), count(CANCEL)], [TRIES, 0]);
});

test("an upload says what it is and where, by its states and events", async () => {
  const { begin } = stage();
  const upload = begin({ ref: "post:42" }, bytes(10, "sea.png"));
  assert.ok(upload instanceof EventTarget);
  assert.deepEqual(
    [upload.name, upload.size, upload.type, upload.slot, upload.ref, upload.state, upload.waitingFor, upload.ended],
    ["sea.png", 10, "image/png", "photos", "post:42", "waiting", "turn", false],
  );
  const heard = [];
  for (const name of ["state", "done", "error"]) upload.addEventListener(name, ({ detail }) => heard.push([name, detail]));
  assert.deepEqual(await upload.done, FILE);
  assert.deepEqual(heard, [["state", "uploading"], ["state", "verifying"], ["state", "committed"], ["done", FILE]]);
  assert.deepEqual([upload.result, upload.error, upload.ended, upload.ticket], [FILE, null, true, "t1"]);
});

test("each end of an upload has its state", async () => {
  const rows = [
    [problem(422, "content-rejected"), "rejected"],
    [problem(413, "file-too-large"), "rejected"],
    [problem(422, "type-not-accepted"), "rejected"],
    [problem(409, "slot-full"), "rejected"],
    [problem(409, "quota-exceeded"), "rejected"],
    [problem(409, "ticket-closed"), "cancelled"],
    [problem(410, "ticket-expired"), "failed"],
    [problem(403, "forbidden"), "failed"],
    [problem(429, "too-many-open-tickets"), "failed"],
    [problem(507, "storage-full"), "failed"],
    [problem(503, "database-unavailable"), "failed"],
  ];
  for (const [said, state] of rows) {
    const { begin } = stage({ [MINT]: said });
    const upload = begin();
    const error = await upload.done.catch((caught) => caught);
    assert.equal(upload.state, state, error.code);
    assert.equal(upload.error, error);
  }
});

test("a listener that throws does not touch the upload", async (t) => {
  const thrown = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => thrown.push(error.message));
  t.after(() => {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  });
  const { begin } = stage();
  const upload = begin({ onProgress: () => { throw new Error("the page's own"); } });
  assert.deepEqual(await upload.done, FILE);
  assert.equal(upload.state, "committed");
  await new Promise(setImmediate);
  assert.ok(thrown.length > 0);
});

test("nothing is unhandled when nobody awaits `done`", async () => {
  const { begin } = stage({ [MINT]: problem(413, "file-too-large") });
  const upload = begin();
  await new Promise((resolve) => upload.addEventListener("error", resolve));
  await new Promise(setImmediate);
  assert.equal(upload.error.code, "file-too-large");
});

test("an upload that was held back begins when it is started, and asks nobody before", async () => {
  const { begin, keys } = stage();
  const upload = begin({ autoStart: false });
  await new Promise(setImmediate);
  assert.deepEqual([keys(), upload.state, upload.waitingFor], [[], "waiting", "start"]);
  upload.start();
  upload.start();
  await upload.done;
  assert.deepEqual(keys(), [MINT, PUT, COMPLETE]);
  const other = begin({ autoStart: false });
  other.cancel();
  assert.equal(other.state, "cancelled");
});

test("a pause drops what is on the wire, and the end of it begins the request again", async () => {
  const { begin, count } = stage({ [PUT]: [hang, answer(200)] });
  const upload = begin();
  await until(() => count(PUT) === 1);
  upload.pause();
  assert.deepEqual([upload.state, upload.waitingFor, upload.paused], ["waiting", "resume", true]);
  await new Promise(setImmediate);
  assert.equal(count(PUT), 1);
  upload.resume();
  assert.deepEqual(await upload.done, FILE);
  assert.deepEqual([count(PUT), count(CANCEL), upload.paused], [2, 0, false]);
});

test("a paused upload can be cancelled", async () => {
  const { begin, count } = stage({ [PUT]: hang });
  const upload = begin();
  await until(() => count(PUT) === 1);
  upload.pause();
  await new Promise(setImmediate);
  upload.cancel();
  await assert.rejects(upload.done, { code: "cancelled" });
  assert.deepEqual([upload.state, count(CANCEL)], ["cancelled", 1]);
});

test("a retry after an outage goes on with the ticket it has", async () => {
  const { begin, keys, count } = stage({ [PUT]: () => (count(PUT) <= TRIES ? LOST : answer(200)) });
  const upload = begin();
  const first = upload.done;
  await assert.rejects(first, { code: "storage-unreachable" });
  assert.deepEqual([upload.state, upload.ticket], ["failed", "t1"]);
  const before = keys().length;
  assert.deepEqual(await upload.retry(), FILE);
  assert.notEqual(upload.done, first);
  assert.deepEqual(keys().slice(before), [STATE, SIGN, PUT, COMPLETE]);
  assert.deepEqual([upload.state, upload.error], ["committed", null]);
});

test("a retry asks for the verdict alone when the bytes are there", async () => {
  const { begin, keys, count } = stage({ [COMPLETE]: () => (count(COMPLETE) <= TRIES ? problem(503, "storage-unavailable") : WELL[COMPLETE]) });
  const upload = begin();
  await assert.rejects(upload.done, { code: "storage-unavailable" });
  const before = keys().length;
  assert.deepEqual(await upload.retry(), FILE);
  assert.deepEqual(keys().slice(before), [STATE, SIGN, COMPLETE]);
});

test("a retry takes a new ticket when the old one has ended, and the file when it was committed", async () => {
  const rows = [
    [answer(200, { id: "t1", state: "expired", size: 10 }), [STATE, MINT, PUT, COMPLETE]],
    [problem(404, "not-found"), [STATE, MINT, PUT, COMPLETE]],
    [answer(200, { id: "t1", state: "committed", size: 10, file: FILE }), [STATE]],
  ];
  for (const [state, asked] of rows) {
    const { begin, keys, count } = stage({
      [PUT]: () => (count(PUT) <= TRIES ? LOST : answer(200)),
      // The first look is that of the failure itself.
      [STATE]: [WELL[STATE], state],
    });
    const upload = begin();
    await assert.rejects(upload.done, { code: "storage-unreachable" });
    const before = keys().length;
    assert.deepEqual(await upload.retry(), FILE);
    assert.deepEqual(keys().slice(before), asked);
  }
});

test("a ticket is not forgotten by a retry that reaches nobody", async () => {
  let down = true;
  const { begin, keys, count } = stage({
    [PUT]: () => (down ? LOST : answer(200)),
    [STATE]: () => (down ? LOST : WELL[STATE]),
  });
  const upload = begin();
  await assert.rejects(upload.done, { code: "storage-unreachable" });
  await assert.rejects(upload.retry(), { code: "api-unreachable" });
  down = false;
  const before = keys().length;
  assert.deepEqual(await upload.retry(), FILE);
  assert.deepEqual([keys().slice(before), count(MINT)], [[STATE, SIGN, PUT, COMPLETE], 1]);
});

test("a cancel while the old ticket is looked for cancels it", async () => {
  const { begin, count } = stage({ [PUT]: LOST, [STATE]: [WELL[STATE], hang] });
  const upload = begin();
  await assert.rejects(upload.done, { code: "storage-unreachable" });
  upload.retry();
  await until(() => count(STATE) === 2);
  upload.cancel();
  await assert.rejects(upload.done, { code: "cancelled" });
  await until(() => count(CANCEL) === 1);
});

test("a file that cannot be read for its checksum is a changed file", async () => {
  const file = bytes(10);
  file.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("gone", "NotReadableError")) });
  const { begin, count } = stage();
  await assert.rejects(begin({ checksum: true }, file).done, { code: "file-changed" });
  assert.equal(count(MINT), 0);
});

test("a mint whose answers were all lost keeps its idempotency key for the retry", async () => {
  const { begin, log, count } = stage({ [MINT]: () => (count(MINT) <= TRIES ? LOST : minted()) });
  const upload = begin();
  await assert.rejects(upload.done, { code: "api-unreachable" });
  await upload.retry();
  const keys = log.filter(({ key }) => key === MINT).map(({ headers }) => headers["idempotency-key"]);
  assert.equal(new Set(keys).size, 1);
});

test("a retry after a cancel begins anew", async () => {
  const { begin, keys, count } = stage({ [PUT]: [hang, answer(200)] });
  const upload = begin();
  await until(() => count(PUT) === 1);
  upload.cancel();
  await assert.rejects(upload.done, { code: "cancelled" });
  const before = keys().length;
  assert.deepEqual(await upload.retry(), FILE);
  assert.deepEqual(keys().slice(before), [MINT, PUT, COMPLETE]);
});

test("bytes that storage has lost are sent again", async () => {
  const { upload, keys } = stage({ [COMPLETE]: [problem(409, "object-missing"), WELL[COMPLETE]] });
  await upload();
  assert.deepEqual(keys(), [MINT, PUT, COMPLETE, SIGN, PUT, COMPLETE]);
});

test("a file that changed after it was chosen is its own error, at once, and frees the ticket", async () => {
  const file = bytes(10);
  const slice = file.slice.bind(file);
  file.slice = (...range) => Object.assign(slice(...range), { arrayBuffer: () => Promise.reject(new DOMException("gone", "NotReadableError")) });
  const { begin, count } = stage({ [PUT]: LOST });
  const upload = begin({}, file);
  await assert.rejects(upload.done, { code: "file-changed" });
  assert.deepEqual([upload.state, count(PUT), count(CANCEL)], ["failed", 1, 1]);
});

test("the policy is applied before anything is asked for, and remembered", async () => {
  const slot = { ...SLOT, max_file_size: 5, accept: ["image/*"], accepted: { extensions: [".png"], types: ["image/png"] } };
  const { begin, client, keys, count } = stage({ [POLICY]: answer(200, slot) });
  const large = begin();
  await assert.rejects(large.done, ({ code, status, problem }) => code === "file-too-large" && status === 413 && problem.limit === 5);
  assert.equal(large.state, "rejected");
  const text = new File(["abc"], "notes.txt", { type: "text/plain" });
  await assert.rejects(begin({}, text).done, { code: "type-not-accepted", status: 422, declared: "text/plain" });
  await assert.rejects(begin({}, bytes(0)).done, { code: "invalid-request", status: 400 });
  assert.equal((await client.check(text, { slot: "photos" })).code, "type-not-accepted");
  assert.equal(await client.check(bytes(5), { slot: "photos" }), null);
  assert.deepEqual([keys(), count(POLICY)], [[], 1]);
});

test("a policy that cannot be had stops nobody", async () => {
  const { upload } = stage({ [POLICY]: problem(500, "internal") });
  assert.deepEqual(await upload(), FILE);
});

test("an upload can be cancelled while its policy is on the way", async () => {
  const { begin, keys } = stage({ [POLICY]: () => new Promise(() => {}) });
  const upload = begin();
  await new Promise(setImmediate);
  upload.cancel();
  await assert.rejects(upload.done, { code: "cancelled" });
  assert.deepEqual(keys(), []);
});
