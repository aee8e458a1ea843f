// What a run does with what is remembered. The memory itself needs a browser: tests/browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CANCEL, COMPLETE, FILE, LOST, MINT, PARTS, PUT, SIGN, STATE, answer, bytes, hang, parts, problem, range, stage, until } from "./stage.mjs";

/** A memory that holds this place and writes down what is kept. */
function memory(place = {}) {
  const kept = [];
  const errands = [];
  const resume = {
    around(errand, work) {
      errands.push(errand);
      return work({
        ticket: null,
        ours: false,
        keep: ({ id, expires_at }) => kept.push(["keep", id, expires_at]),
        end: async (id) => void kept.push(["end", id]),
        ...place,
      });
    },
  };
  return { resume, kept, errands };
}

test("a new ticket is remembered, and ended when it is committed", async () => {
  const { resume, kept, errands } = memory();
  const { upload } = stage({}, { resume });
  await upload({ ref: "post:42", metadata: { alt: "sea" } });
  assert.deepEqual(kept, [["keep", "t1", undefined], ["end", "t1"]]);
  assert.deepEqual(errands[0].about, ["https://broker.test", "photos", "post:42", "a.png", { alt: "sea" }]);
});

test("nothing that is remembered holds a URL", async () => {
  const seen = [];
  const { resume } = memory({ keep: (ticket) => seen.push({ id: ticket.id, expires_at: ticket.expires_at }), end: async (id) => void seen.push(id) });
  await parts(3, { resume }).upload();
  assert.ok(!JSON.stringify(seen).includes("store:"));
});

test("a file that was half sent goes on with the parts that are missing", async () => {
  const { resume, kept } = memory({ ticket: "t1" });
  const played = parts(10, { resume, have: range(1, 6) });
  const upload = played.begin();
  const seen = [];
  upload.addEventListener("progress", ({ detail }) => seen.push(detail.loaded));
  assert.deepEqual(await upload.done, FILE);
  assert.deepEqual(played.keys().slice(0, 3), [STATE, SIGN, PARTS]);
  assert.deepEqual([...played.numbers()].sort((a, b) => a - b), range(7, 10));
  assert.deepEqual([played.count(MINT), kept.at(-1)], [0, ["end", "t1"]]);
});

test("a part of another size than planned is sent again", async () => {
  const { resume } = memory({ ticket: "t1" });
  const played = parts(3, { file: 25, resume, script: { [PARTS]: answer(200, { parts: [{ number: 1, size: 9 }, { number: 3, size: 5 }] }) } });
  await played.upload();
  assert.deepEqual([...played.numbers()].sort((a, b) => a - b), [1, 2]);
});

test("a remembered ticket that has ended is replaced by a new one", async () => {
  const rows = [
    answer(200, { id: "t1", state: "expired", size: 10 }),
    answer(200, { id: "t1", state: "cancelled", size: 10 }),
    answer(200, { id: "t1", state: "rejected", size: 10, problem: { code: "content-rejected", status: 422 } }),
    answer(200, { id: "t1", state: "committed", size: 10, file: { ...FILE, name: "old.png" } }),
    answer(200, { id: "t1", state: "open", size: 11 }),
    problem(404, "not-found"),
  ];
  for (const said of rows) {
    const { upload, count } = stage({ [STATE]: said }, { resume: memory({ ticket: "t1" }).resume });
    assert.deepEqual(await upload(), FILE);
    assert.equal(count(MINT), 1, said.text);
  }
  const late = stage({ [SIGN]: problem(410, "ticket-expired") }, { resume: memory({ ticket: "t1" }).resume });
  assert.deepEqual(await late.upload(), FILE);
});

test("a tab that waited takes the outcome of the other, good or bad", async () => {
  const place = { ticket: "t1", ours: true };
  const committed = answer(200, { id: "t1", state: "committed", size: 10, file: FILE });
  const good = stage({ [STATE]: committed }, { resume: memory(place).resume });
  assert.deepEqual(await good.upload(), FILE);
  assert.deepEqual(good.keys(), [STATE]);
  const rejected = { id: "t1", state: "rejected", size: 10, problem: { code: "content-rejected", status: 422, reason: "active-content" } };
  const bad = stage({ [STATE]: answer(200, rejected) }, { resume: memory(place).resume });
  await assert.rejects(bad.upload(), { code: "content-rejected", reason: "active-content" });
  assert.deepEqual(bad.keys(), [STATE]);
});

test("a tab that waits says so, and asks nobody for a ticket", async () => {
  let go;
  const resume = {
    async around({ onWait }, work) {
      onWait();
      await new Promise((resolve) => (go = resolve));
      return work({ ticket: null, ours: false, keep() {}, async end() {} });
    },
  };
  const { begin, count } = stage({}, { resume });
  const upload = begin();
  await until(() => go);
  assert.deepEqual([upload.state, upload.waitingFor, count(MINT)], ["waiting", "other-tab", 0]);
  go();
  assert.deepEqual(await upload.done, FILE);
});

test("an outage leaves the ticket remembered; a cancel or a refusal ends it", async () => {
  const rows = [
    [{ [PUT]: LOST }, false],
    [{ [COMPLETE]: problem(503, "storage-unavailable") }, false],
    [{ [COMPLETE]: problem(422, "content-rejected") }, true],
    [{ [PUT]: answer(400) }, true],
  ];
  for (const [script, ended] of rows) {
    const { resume, kept } = memory();
    await assert.rejects(stage(script, { resume }).upload());
    assert.equal(kept.some(([what]) => what === "end"), ended, JSON.stringify(script));
  }
  const { resume, kept } = memory();
  const { begin, count } = stage({ [PUT]: hang }, { resume });
  const upload = begin();
  await until(() => count(PUT) === 1);
  upload.cancel();
  await assert.rejects(upload.done, { code: "cancelled" });
  assert.deepEqual([kept.at(-1), count(CANCEL)], [["end", "t1"], 1]);
});

test("nothing is remembered where the caller does not want it", async () => {
  const { upload } = stage({}, { resume: false });
  assert.deepEqual(await upload({}, bytes(10)), FILE);
});
