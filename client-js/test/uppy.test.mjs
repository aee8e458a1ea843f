// The verdict in Uppy. Uppy itself, both versions of it, is in tests/browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { verdicts } from "../build/uppy.js";

const ID = "01900000-0000-7000-8000-000000000001";
const PLACE = `https://store.example/staging/${ID}`;

/** As much of Uppy as is asked for, and a broker that answers each call with the next of these. */
function stage(t, file, answers, opts = { companionEndpoint: "https://b.example/u/photos/t/" }) {
  const files = { a: { id: "a", ...file } };
  const emitted = [];
  const asked = [];
  let steps = [];
  const uppy = {
    addPostProcessor: (step) => steps.push(step),
    removePostProcessor: (step) => (steps = steps.filter((other) => other !== step)),
    getFile: (id) => files[id],
    setFileState: (id, state) => Object.assign(files[id], state),
    getPlugin: (id) => (id === "AwsS3Multipart" ? { opts } : undefined),
    emit: (event, about, more) => emitted.push([event, more?.message ?? about?.id]),
  };
  const real = globalThis.fetch;
  t.after(() => (globalThis.fetch = real));
  globalThis.fetch = async (url, init) => {
    asked.push([url, init]);
    const [status, body] = answers.shift();
    if (status === 0) throw new TypeError("Failed to fetch");
    return new Response(JSON.stringify(body), { status });
  };
  const off = verdicts(uppy);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const run = async () => {
    let done = false;
    const all = Promise.all(steps.map((step) => step(["a"]))).finally(() => (done = true));
    while (!done) {
      await new Promise((go) => setImmediate(go));
      t.mock.timers.tick(8000);
    }
    await all;
    t.mock.timers.reset();
  };
  return { files, emitted, asked, off, run };
}

test("a committed file has the broker's ticket in its state", async (t) => {
  const committed = { id: ID, state: "committed" };
  const { files, emitted, asked, run } = stage(t, { uploadURL: PLACE }, [[202, {}], [200, committed]]);
  await run();
  assert.equal(asked.length, 2);
  const [url, { method, credentials }] = asked[0];
  assert.deepEqual([url, method, credentials], [`https://b.example/u/photos/t/tickets/${ID}/complete?wait=20`, "POST", "same-origin"]);
  assert.deepEqual(files.a.putgate, committed);
  assert.deepEqual(emitted, [["postprocess-progress", "Verifying…"], ["postprocess-complete", "a"]]);
});

test("a rejected file fails with the reason", async (t) => {
  const problem = { code: "content-rejected", detail: "the slot takes image/*, not text/html" };
  const { files, emitted, run } = stage(t, { response: { uploadURL: PLACE } }, [[422, problem]]);
  await run();
  assert.deepEqual(emitted[1], ["upload-error", problem.detail]);
  assert.equal(files.a.putgate, undefined);
});

test("a broker that cannot be had is asked again, and then the file stays as it is", async (t) => {
  const down = Array.from({ length: 6 }, (_, n) => (n % 2 ? [503, {}] : [0]));
  const { files, emitted, asked, run } = stage(t, { uploadURL: PLACE }, down);
  await run();
  assert.equal(asked.length, 6);
  assert.deepEqual(emitted.at(-1), ["postprocess-complete", "a"]);
  assert.equal(files.a.putgate, undefined);
});

test("files that failed or went elsewhere are let alone, and the step can be taken off", async (t) => {
  for (const file of [{ uploadURL: PLACE, error: "no" }, { uploadURL: "https://elsewhere.example/a.png" }, {}]) {
    const { emitted, asked, run } = stage(t, file, []);
    await run();
    assert.deepEqual([emitted, asked], [[], []]);
  }
  const { asked, off, run } = stage(t, { uploadURL: PLACE }, []);
  off();
  await run();
  assert.deepEqual(asked, []);
});

test("the uploader's headers and cookies go along", async (t) => {
  const opts = { endpoint: "/u/photos/-", headers: { authorization: "Bearer x" }, cookiesRule: "include" };
  const { asked, run } = stage(t, { uploadURL: PLACE }, [[200, {}]], opts);
  await run();
  const [url, { headers, credentials }] = asked[0];
  assert.deepEqual([url, headers.authorization, credentials], [`/u/photos/-/tickets/${ID}/complete?wait=20`, "Bearer x", "include"]);
});
