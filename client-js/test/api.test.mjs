import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_WAIT, backoff, isTransient } from "../build/retry.js";
import { seconds } from "../build/transport.js";
import { FILE, LOST, answer, problem, stage } from "./stage.mjs";

const SLOTS = "GET /v1/slots";
const slots = answer(200, { slots: [{ name: "photos" }] });

test("which answers deserve another try", () => {
  const table = [
    [LOST, true],
    [answer(408), true],
    [answer(429), true],
    [answer(500), true],
    [answer(503), true],
    [answer(400, "<Error><Code>RequestTimeout</Code></Error>"), true],
    [problem(429, "too-many-open-tickets"), false],
    [problem(507, "storage-full"), false],
    [answer(200), false],
    [answer(400), false],
    [answer(401), false],
    [answer(403), false],
    [answer(404), false],
    [answer(409), false],
    [answer(422), false],
  ];
  for (const [given, expected] of table) {
    assert.equal(isTransient(given), expected, `${given.status} ${given.text}`);
  }
});

test("waits double, with jitter for half of them, unless the server names its own", () => {
  assert.deepEqual([1, 2, 3, 4].map((attempt) => backoff(attempt, null, 1)), [500, 1000, 2000, 4000]);
  assert.equal(backoff(1, null, 0), 250);
  assert.equal(backoff(4, 3, 0.5), 3000);
});

test("Retry-After is read as seconds or as a date", () => {
  const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");
  assert.equal(seconds("12", now), 12);
  assert.equal(seconds("Wed, 21 Oct 2026 07:28:30 GMT", now), 30);
  assert.equal(seconds("Wed, 21 Oct 2026 07:00:00 GMT", now), 0);
  assert.equal(seconds("soon", now), null);
  assert.equal(seconds(null, now), null);
});

test("a refused token is fetched anew, once", async () => {
  const tokens = ["old", "new"];
  const { client, log } = stage({ [SLOTS]: [problem(401, "unauthenticated"), slots] }, async () => tokens.shift());
  assert.deepEqual(await client.slots(), [{ name: "photos" }]);
  assert.deepEqual(log.map(({ headers }) => headers.authorization), ["Bearer old", "Bearer new"]);
});

test("a token that is refused twice, or cannot be renewed, is the server's 401", async () => {
  for (const [token, calls] of [[() => "any", 2], ["fixed", 1]]) {
    const { client, count } = stage({ [SLOTS]: problem(401, "unauthenticated") }, token);
    await assert.rejects(client.slots(), { code: "unauthenticated", status: 401 });
    assert.equal(count(SLOTS), calls);
  }
});

test("calls share one token until it is refused", async () => {
  let fetched = 0;
  const { client } = stage({ [SLOTS]: slots }, () => `token ${(fetched += 1)}`);
  await Promise.all([client.slots(), client.slots()]);
  await client.slots();
  assert.equal(fetched, 1);
});

test("a token that could not be fetched is asked for again by the next call", async () => {
  let fetched = 0;
  const { client } = stage({ [SLOTS]: slots }, () => {
    if ((fetched += 1) === 1) throw new Error("logged out");
    return "token";
  });
  await assert.rejects(client.slots(), { message: "logged out" });
  assert.deepEqual(await client.slots(), [{ name: "photos" }]);
});

test("a broker that stays away is api-unreachable after five tries", async () => {
  const { client, count } = stage({ [SLOTS]: LOST });
  await assert.rejects(client.slots(), { code: "api-unreachable", status: 0 });
  assert.equal(count(SLOTS), 5);
});

test("a server that asks for more patience than we have is not hurried", async () => {
  const { client, count, naps } = stage({ [SLOTS]: answer(503, { code: "database-unavailable" }, MAX_WAIT + 1) });
  await assert.rejects(client.slots(), { code: "database-unavailable", status: 503 });
  assert.deepEqual([count(SLOTS), naps], [1, []]);
});

test("a proxy's page is a bad answer, with or without an error status", async () => {
  for (const status of [200, 404]) {
    const { client } = stage({ [SLOTS]: answer(status, "<html>Sign in</html>") });
    await assert.rejects(client.slots(), { code: "bad-answer", status });
  }
});

test("lists and files are asked for by their documented paths", async () => {
  const { client, log } = stage({
    "GET /v1/files": answer(200, { files: [FILE], next_cursor: null }),
    "GET /v1/files/t1": answer(200, FILE),
    "DELETE /v1/files/t1": answer(204),
    "GET /v1/slots/photos": answer(200, { name: "photos" }),
  });
  assert.deepEqual(await client.files({ slot: "photos", ref: "post:42", limit: 2 }), { files: [FILE], next_cursor: null });
  assert.deepEqual(await client.files(), { files: [FILE], next_cursor: null });
  assert.deepEqual(await client.file("t1"), FILE);
  assert.equal(await client.deleteFile("t1"), undefined);
  assert.deepEqual(await client.slot("photos"), { name: "photos" });
  assert.equal(log[0].url, "https://broker.test/v1/files?slot=photos&ref=post%3A42&limit=2");
  assert.equal(log[1].url, "https://broker.test/v1/files");
});
