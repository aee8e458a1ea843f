import assert from "node:assert/strict";
import { test } from "node:test";
import { CANCEL, COMPLETE, FILE, LOST, MINT, PARTS, PUT, SIGN, STATE, WELL, answer, hang, parts, problem, range, until } from "./stage.mjs";

const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
const signed = ({ log }) => log.filter(({ key }) => key === SIGN).map(({ body }) => JSON.parse(body).parts);

test("a large file goes in parts of the planned size, each once", async () => {
  const { upload, log, numbers } = parts(40, { file: 395 });
  assert.deepEqual(await upload(), FILE);
  assert.deepEqual(sorted(numbers()), range(1, 40));
  const sent = log.filter(({ key }) => key === PUT);
  assert.equal(sent.reduce((sum, { body }) => sum + body.size, 0), 395);
  assert.equal(sent.find(({ url }) => url === "store:40").body.size, 5);
});

test("a large file is not hashed: storage takes a checksum of the whole with one request only", async () => {
  const { upload, log } = parts(3);
  await upload({ checksum: true });
  assert.equal(JSON.parse(log[0].body).files[0].sha256, undefined);
});

test("four parts are on the wire at first, and never more than five", async () => {
  let busy = 0;
  const most = [];
  const played = parts(60, {
    script: {
      [PUT]: () =>
        new Promise((resolve) => {
          most.push((busy += 1));
          played.clock.after(1000, () => ((busy -= 1), resolve(answer(200))));
        }),
    },
  });
  await played.upload();
  assert.equal(Math.max(...most.slice(0, 8)), 4);
  // More lanes, more throughput: this store makes it worth while.
  assert.equal(Math.max(...most), 5);
});

test("a line that is full gains nothing by one more part at a time, so that is taken back", async () => {
  let busy = 0;
  const most = [];
  const played = parts(80, {
    script: {
      [PUT]: () =>
        new Promise((resolve) => {
          most.push((busy += 1));
          played.clock.after(250 * busy, () => ((busy -= 1), resolve(answer(200))));
        }),
    },
  });
  await played.upload();
  assert.deepEqual([Math.max(...most), Math.max(...most.slice(-40))], [5, 4]);
});

test("trouble halves the parts on the wire", async () => {
  let busy = 0;
  const most = [];
  const played = parts(80, {
    script: {
      [PUT]: () =>
        new Promise((resolve) => {
          most.push((busy += 1));
          const status = most.length === 10 ? 503 : 200;
          played.clock.after(250 * busy, () => ((busy -= 1), resolve(answer(status))));
        }),
    },
  });
  await played.upload();
  assert.ok(Math.max(...most.slice(30)) <= 3, `${most}`);
});

test("a bound of the caller is kept", async () => {
  let busy = 0;
  let most = 0;
  const put = async () => {
    most = Math.max(most, (busy += 1));
    await new Promise(setImmediate);
    busy -= 1;
    return answer(200);
  };
  await parts(12, { script: { [PUT]: put } }).upload({ concurrency: 2 });
  assert.equal(most, 2);
  most = 0;
  await parts(12, { script: { [PUT]: put }, concurrency: 3 }).upload();
  assert.equal(most, 3);
});

test("parts are signed ahead, in batches of a hundred at most", async () => {
  const played = parts(500);
  await played.upload();
  const batches = signed(played);
  assert.ok(batches.every((batch) => batch.length <= 100));
  assert.deepEqual(sorted(batches.flat()), range(1, 500));
  assert.ok(batches.length <= 12, `${batches.length} calls for 500 parts`);
});

for (const [took, most] of [[9, 75], [25, 121]]) {
  test(`a URL of 20 s is never used after its end, nor signed long before its turn, where a part takes ${took} s`, async () => {
    const made = new Map();
    const late = [];
    const played = parts(60, {
      script: {
        [SIGN]: ({ body }) => {
          const list = JSON.parse(body).parts.map((number) => {
            const url = `store:${number}`;
            made.set(url, played.clock.now());
            return { number, size: 10, url, headers: {} };
          });
          return answer(200, { id: "t1", state: "open", transfer: { kind: "multipart", part_size: 10, part_count: 60, parts: [], expires_in: 20 }, parts: list });
        },
        [PUT]: ({ url }) => {
          if (played.clock.now() - made.get(url) > 20_000) late.push(url);
          return new Promise((resolve) => played.clock.after(took * 1000, () => resolve(answer(200))));
        },
      },
    });
    await played.upload();
    assert.deepEqual(late, []);
    const asked = signed(played).flat();
    assert.ok(asked.length < most, `${asked.length} signatures for 60 parts`);
  });
}

test("a part whose URL is refused is signed anew, once, and the others go on", async () => {
  let refused = 0;
  const played = parts(30, { script: { [PUT]: ({ url }) => answer(url === "store:2" && refused++ === 0 ? 403 : 200) } });
  assert.deepEqual(await played.upload(), FILE);
  assert.equal(played.numbers().filter((number) => number === 2).length, 2);
  assert.equal(played.numbers().length, 31);
  assert.equal(signed(played).flat().filter((number) => number === 2).length, 2);
});

test("a part that storage refuses stops the others and frees the ticket", async () => {
  const { upload, count } = parts(40, { script: { [PUT]: ({ url }) => answer(url === "store:2" ? 400 : 200) } });
  await assert.rejects(upload(), { code: "storage-refused", status: 400 });
  assert.ok(count(PUT) < 12, `${count(PUT)} parts were sent`);
  assert.deepEqual([count(CANCEL), count(COMPLETE)], [1, 0]);
});

test("a lost part is sent again, and only that one", async () => {
  let lost = 0;
  const played = parts(10, { script: { [PUT]: ({ url }) => (url === "store:3" && lost++ < 2 ? LOST : answer(200)) } });
  await played.upload();
  assert.deepEqual(sorted(played.numbers()), sorted([...range(1, 10), 3, 3]));
});

test("parts that are there are not sent again after a retry", async () => {
  let down = true;
  const have = [];
  const played = parts(10, {
    script: {
      [PUT]: ({ url }) => {
        const number = Number(url.slice(6));
        if (down && number > 4) return LOST;
        have.push({ number, size: 10 });
        return answer(200);
      },
      [PARTS]: () => answer(200, { parts: have }),
    },
  });
  const upload = played.begin();
  await assert.rejects(upload.done, { code: "storage-unreachable" });
  down = false;
  const before = played.log.length;
  assert.deepEqual(await upload.retry(), FILE);
  const again = played.log.slice(before);
  assert.deepEqual(again.slice(0, 3).map(({ key }) => key), [STATE, SIGN, PARTS]);
  assert.deepEqual(sorted(again.filter(({ key }) => key === PUT).map(({ url }) => Number(url.slice(6)))), range(5, 10));
});

test("a pause keeps the parts that are there, in this page without asking", async () => {
  const played = parts(8, { script: { [PUT]: (request) => (played.count(PUT) > 4 && !resumed ? hang(request) : answer(200)) } });
  let resumed = false;
  const upload = played.begin();
  await until(() => played.count(PUT) === 8);
  upload.pause();
  await until(() => upload.progress.loaded === 40);
  assert.equal(upload.state, "waiting");
  resumed = true;
  upload.resume();
  assert.deepEqual(await upload.done, FILE);
  assert.deepEqual(sorted(played.numbers()), sorted([...range(1, 8), ...range(5, 8)]));
  assert.equal(played.count(PARTS), 0);
});

test("what the broker misses is sent again", async () => {
  const played = parts(6, {
    have: [1, 2, 4, 5, 6],
    script: { [COMPLETE]: [problem(409, "parts-missing", { missing: [3], missing_count: 1 }), WELL[COMPLETE]] },
  });
  assert.deepEqual(await played.upload(), FILE);
  assert.deepEqual(played.numbers().slice(6), [3]);
});

test("parts that stay missing are an error, and the ticket is kept", async () => {
  const played = parts(3, { have: [1, 2], script: { [COMPLETE]: problem(409, "parts-missing", { missing: [3] }) } });
  const upload = played.begin();
  await assert.rejects(upload.done, { code: "parts-missing" });
  assert.deepEqual([upload.state, played.count(COMPLETE), played.count(CANCEL)], ["failed", 3, 0]);
});

test("an upload that storage has dropped starts anew under its ticket", async () => {
  let dropped = false;
  const gone = answer(404, "<Error><Code>NoSuchUpload</Code></Error>");
  const played = parts(6, {
    script: {
      [PUT]: ({ url }) => (url === "store:5" && !dropped ? ((dropped = true), gone) : answer(200)),
      // The broker sees what happened, and forgets the old upload.
      [COMPLETE]: [problem(409, "parts-missing", { missing: range(1, 6) }), WELL[COMPLETE]],
    },
  });
  assert.deepEqual(await played.upload(), FILE);
  assert.deepEqual([played.count(MINT), played.count(CANCEL)], [1, 0]);
  assert.deepEqual(sorted(played.numbers().slice(-6)), range(1, 6));
});

test("a file whose time or size changes between two parts is not sent on", async () => {
  let now = 1;
  const played = parts(30, { script: { [PUT]: () => ((now = played.count(PUT) > 5 ? 2 : 1), answer(200)) } });
  Object.defineProperty(played.file, "lastModified", { get: () => now });
  await assert.rejects(played.upload(), { code: "file-changed" });
  assert.equal(played.count(CANCEL), 1);
  assert.ok(played.count(PUT) < 30);
});

test("progress counts what is there and what is on its way", async () => {
  const seen = [];
  const played = parts(4, { have: [1, 2], script: { [STATE]: answer(200, { id: "t1", state: "open", size: 40 }) } });
  await played.upload({ onProgress: ({ loaded }) => seen.push(loaded) });
  assert.deepEqual([seen[0], seen.at(-1)], [0, 40]);
  assert.ok(seen.every((loaded) => loaded <= 40));
});

test("a cancel stops all parts and cancels the ticket", async () => {
  const { begin, count, log } = parts(10, { script: { [PUT]: hang } });
  const upload = begin();
  await until(() => count(PUT) === 4);
  upload.cancel();
  await assert.rejects(upload.done, { code: "cancelled" });
  assert.ok(log.filter(({ key }) => key === PUT).every(({ signal }) => signal.aborted));
  assert.equal(count(CANCEL), 1);
});
