// The retry matrix, row by row: first the decision, then each row as the client lives it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_WAIT, TRIES, backoff, next } from "../build/retry.js";
import { seconds } from "../build/transport.js";
import { COMPLETE, FILE, LOST, MINT, PUT, SIGN, WELL, answer, hang, problem, stage, until } from "./stage.mjs";

const fresh = { tries: 1, renewed: false, online: true, random: 1 };
const STALLED = answer(400, "<Error><Code>RequestTimeout</Code></Error>");

test("every row of the matrix", () => {
  const again = 500;
  const rows = [
    // answer, broker, storage, history
    [answer(200), "take", "take"],
    [answer(204), "take", "take"],
    [LOST, "online", "online", { online: false }],
    [LOST, again, again],
    [answer(408), again, again],
    [answer(425), again, again],
    [answer(429), again, again],
    [answer(500), again, again],
    [answer(502), again, again],
    [answer(503, "<Code>SlowDown</Code>"), again, again],
    [answer(503, "", 7), 7000, 7000],
    [answer(503, "", MAX_WAIT + 1), "take", "take"],
    [answer(503), "take", "take", { tries: TRIES }],
    [LOST, "take", "take", { tries: TRIES }],
    [LOST, "online", "online", { tries: TRIES, online: false }],
    [STALLED, again, again],
    [problem(429, "too-many-open-tickets"), "take", "take"],
    [problem(507, "storage-full"), "take", "take"],
    [answer(401), "renew", "take"],
    [answer(401), "take", "take", { renewed: true }],
    [answer(403), "take", "renew"],
    [answer(403), "take", "take", { renewed: true }],
    [answer(400), "take", "take"],
    [answer(404), "take", "take"],
    [answer(409), "take", "take"],
    [answer(412), "take", "take"],
    [answer(422), "take", "take"],
  ];
  for (const [given, api, storage, history] of rows) {
    const about = `${given.status} ${given.text} ${JSON.stringify(history ?? {})}`;
    assert.equal(next("api", given, { ...fresh, ...history }), api, `broker: ${about}`);
    assert.equal(next("storage", given, { ...fresh, ...history }), storage, `storage: ${about}`);
  }
});

test("waits double to 20 s, with jitter for half of them, and no less than the server asks for", () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7].map((tries) => backoff(tries, null, 1)),
    [500, 1000, 2000, 4000, 8000, 16_000, 20_000],
  );
  assert.equal(backoff(1, null, 0), 250);
  assert.equal(backoff(1, 3, 0.5), 3000);
  // A server that says "1" all the time must not use up all tries in some seconds.
  assert.equal(backoff(6, 1, 1), 16_000);
});

test("Retry-After is read as seconds or as a date", () => {
  const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");
  assert.equal(seconds("12", now), 12);
  assert.equal(seconds("Wed, 21 Oct 2026 07:28:30 GMT", now), 30);
  assert.equal(seconds("Wed, 21 Oct 2026 07:00:00 GMT", now), 0);
  assert.equal(seconds("soon", now), null);
  assert.equal(seconds(null, now), null);
});

// Each leg of an upload in turn is the one that fails.
for (const leg of [MINT, PUT, COMPLETE]) {
  const once = (bad) => [bad, WELL[leg]];

  test(`${leg}: an outage of 20 s is survived`, async () => {
    const played = stage({ [leg]: () => (played.clock.now() < 1_020_000 ? LOST : WELL[leg]) });
    assert.deepEqual(await played.upload(), FILE);
    assert.deepEqual(played.gaps(leg), [0.5, 1, 2, 4, 8, 16]);
  });

  test(`${leg}: being offline costs no try, and the end of it is no wait`, async () => {
    const played = stage({
      [leg]: () => {
        if (played.count(leg) > TRIES + 2) return WELL[leg];
        // The first request on the line again is lost as well.
        if (played.count(leg) === TRIES + 2) played.network(true);
        return LOST;
      },
    });
    played.network(false);
    const upload = played.begin();
    await until(() => played.count(leg) === TRIES);
    assert.deepEqual([upload.state, upload.ended], ["waiting", false]);
    assert.deepEqual(await upload.done, FILE);
    assert.deepEqual([...new Set(played.gaps(leg))], [60, 0.5]);
    const woken = stage({ [leg]: once(LOST) });
    woken.network(false);
    const { done } = woken.begin();
    await until(() => woken.count(leg) === 1);
    await new Promise(setImmediate);
    woken.network(true);
    assert.deepEqual(await done, FILE);
    assert.deepEqual(woken.gaps(leg), [0]);
  });

  test(`${leg}: a server that asks for patience gets it`, async () => {
    for (const status of [429, 503]) {
      const played = stage({ [leg]: once(answer(status, "", 7)) });
      assert.deepEqual(await played.upload(), FILE);
      assert.deepEqual(played.gaps(leg), [7]);
    }
  });

  test(`${leg}: no answer in good time is no answer`, async () => {
    const played = stage({ [leg]: [hang, WELL[leg]] });
    assert.deepEqual(await played.upload(), FILE);
    assert.deepEqual(played.gaps(leg), [leg === PUT ? 30.5 : 60.5]);
  });
}

test("a request whose bytes move is not stalled, however long it takes", async () => {
  const { upload, clock, count } = stage({
    [PUT]: ({ onSent }) =>
      new Promise((resolve) => {
        const move = (sent) => clock.after(29_000, () => (onSent(sent), sent < 9 ? move(sent + 1) : resolve(answer(200))));
        move(1);
      }),
  });
  assert.deepEqual(await upload(), FILE);
  assert.equal(count(PUT), 1);
});

test("bytes that are all in the network's buffers have two minutes for their answer", async () => {
  const { upload, clock, gaps } = stage({
    [PUT]: [
      ({ onSent, signal }) => (onSent(10), new Promise((resolve) => signal.addEventListener("abort", () => resolve(LOST)))),
      ({ onSent }) => (onSent(10), new Promise((resolve) => clock.after(100_000, () => resolve(answer(200))))),
    ],
  });
  assert.deepEqual(await upload(), FILE);
  assert.deepEqual(gaps(PUT), [120.5]);
});

test("broker, 401: the token is fetched anew, once", async () => {
  const tokens = ["old", "new"];
  const { upload, log } = stage({ [COMPLETE]: [problem(401, "unauthenticated"), WELL[COMPLETE]] }, { token: () => tokens.shift() });
  await upload();
  const bearers = log.filter(({ key }) => key === COMPLETE).map(({ headers }) => headers.authorization);
  assert.deepEqual(bearers, ["Bearer old", "Bearer new"]);
});

test("storage, 403: signed anew, once", async () => {
  const { upload, keys, log } = stage({ [PUT]: [answer(403), answer(200)] });
  await upload();
  assert.deepEqual(keys(), [MINT, PUT, SIGN, PUT, COMPLETE]);
  assert.equal(log[3].url, "store:again");
});

test("storage, RequestTimeout: the same again", async () => {
  const { upload, keys } = stage({ [PUT]: [STALLED, answer(200)] });
  await upload();
  assert.deepEqual(keys(), [MINT, PUT, PUT, COMPLETE]);
});

test("an abort that nobody asked for is a failure of the network", async () => {
  // What XMLHttpRequest's `abort` event comes to; Safari fires it for lost connections.
  const { upload, count } = stage({ [PUT]: [LOST, answer(200)] });
  assert.deepEqual(await upload(), FILE);
  assert.equal(count(PUT), 2);
});
