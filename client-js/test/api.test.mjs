import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_WAIT, TRIES } from "../build/retry.js";
import { FILE, LOST, answer, problem, stage } from "./stage.mjs";

const SLOTS = "GET /v1/slots";
const slots = answer(200, { slots: [{ name: "photos" }] });

test("a refused token is fetched anew, once", async () => {
  const tokens = ["old", "new"];
  const { client, log } = stage({ [SLOTS]: [problem(401, "unauthenticated"), slots] }, { token: async () => tokens.shift() });
  assert.deepEqual(await client.slots(), [{ name: "photos" }]);
  assert.deepEqual(log.map(({ headers }) => headers.authorization), ["Bearer old", "Bearer new"]);
});

test("a token that is refused twice, or cannot be renewed, is the server's 401", async () => {
  for (const [token, calls] of [[() => "any", 2], ["fixed", 1]]) {
    const { client, count } = stage({ [SLOTS]: problem(401, "unauthenticated") }, { token });
    await assert.rejects(client.slots(), { code: "unauthenticated", status: 401 });
    assert.equal(count(SLOTS), calls);
  }
});

test("calls share one token until it is refused", async () => {
  let fetched = 0;
  const { client } = stage({ [SLOTS]: slots }, { token: () => `token ${(fetched += 1)}` });
  await Promise.all([client.slots(), client.slots()]);
  await client.slots();
  assert.equal(fetched, 1);
});

test("a token that could not be fetched is asked for again by the next call", async () => {
  let fetched = 0;
  const { client, count } = stage({ [SLOTS]: slots }, {
    token: () => {
      if ((fetched += 1) === 1) throw new Error("logged out");
      return "token";
    },
  });
  await assert.rejects(client.slots(), ({ code, detail, cause }) => {
    assert.deepEqual([code, cause.message], ["token-unavailable", "logged out"]);
    return detail.includes("logged out");
  });
  assert.equal(count(SLOTS), 0);
  assert.deepEqual(await client.slots(), [{ name: "photos" }]);
});

test("a token that the network kept from us is fetched again, like anything else", async () => {
  let fetched = 0;
  const { client } = stage({ [SLOTS]: slots }, {
    token: () => {
      // What `fetch` throws.
      if ((fetched += 1) < 4) throw new TypeError("Failed to fetch");
      return "token";
    },
  });
  assert.deepEqual(await client.slots(), [{ name: "photos" }]);
  const never = stage({}, { token: () => Promise.reject(new TypeError("Failed to fetch")) });
  await assert.rejects(never.client.slots(), { code: "token-unavailable", status: 0 });
});

test("calls that are refused together share one new token", async () => {
  let fetched = 0;
  const { client } = stage(
    { [SLOTS]: ({ headers }) => (headers.authorization === "Bearer 1" ? problem(401, "unauthenticated") : slots) },
    { token: () => String((fetched += 1)) },
  );
  await Promise.all([client.slots(), client.slots(), client.slots()]);
  assert.equal(fetched, 2);
});

test("a broker that stays away is api-unreachable after all tries", async () => {
  const { client, count } = stage({ [SLOTS]: LOST });
  await assert.rejects(client.slots(), { code: "api-unreachable", status: 0 });
  assert.equal(count(SLOTS), TRIES);
});

test("a server that asks for more patience than we have is not hurried", async () => {
  const { client, count } = stage({ [SLOTS]: answer(503, { code: "database-unavailable" }, MAX_WAIT + 1) });
  await assert.rejects(client.slots(), { code: "database-unavailable", status: 503 });
  assert.equal(count(SLOTS), 1);
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
  await client.slot("photos", "post:42");
  assert.equal(log[0].url, "https://broker.test/v1/files?slot=photos&ref=post%3A42&limit=2");
  assert.equal(log[1].url, "https://broker.test/v1/files");
});
