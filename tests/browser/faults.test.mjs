// A big file on a bad day: lines that break, URLs and tokens that expire, brokers that die, stores that forget.
//
// PUTGATE_TEST_STORE: the store (default devstore), as for the Rust tests.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { abort, complete, keys, multiparts, partsOf } from "./s3.mjs";
import { startSite } from "./site.mjs";
import { PATIENCE, owner, visit } from "./visitor.mjs";

const MIB = 1024 * 1024;
const PART = 5 * MIB;
/** Bytes a second at which nothing ends while a test looks at it. */
const CRAWL = 500_000;
/** Thirteen parts, the last one short. */
const SIZE = 64 * MIB;
const ALL = Array.from({ length: 13 }, (_, n) => n + 1);
const SLOTS = `
[slots.big]
max_file_size = "4GB"
max_entries = 100
part_size = "5MiB"
[slots.hasty]
max_file_size = "4GB"
max_entries = 100
part_size = "5MiB"
url_ttl = "5s"
[slots.films]
accept = ["video/*", ".txt"]
max_entries = 100
`;

let site;
before(async () => {
  const page = '<!doctype html><html lang="en"><title>A page</title><p>Here.</p>';
  site = await startSite("faults", { slots: SLOTS, pages: { "/": page } });
});
after(() => site?.stop());

test("a_reload_sends_only_what_the_store_has_not_got", async (t) => {
  const { page } = await open(t);
  site.line.rate = 16 * MIB;
  await begin(page, { size: SIZE });
  await percent(page, 70);
  site.line.rate = CRAWL;
  const { ticket } = await now(page);
  await page.reload();
  await prepare(page, owner(t));
  const listed = page.waitForResponse((answer) => answer.url().endsWith("/parts"));
  site.line.parts.length = 0;
  site.line.rate = Infinity;
  await begin(page, { size: SIZE });
  const file = await outcome(page);
  assert.equal(file.id, ticket);
  const have = (await (await listed).json()).parts.map(({ number }) => number);
  assert.ok(have.length > 0, "some parts were there");
  assert.deepEqual([...have, ...site.line.parts].sort(byNumber), ALL);
});

test("a_line_that_is_cut_for_20_seconds_only_delays_the_file", async (t) => {
  const { page } = await open(t);
  site.line.rate = 12 * MIB;
  await begin(page, { size: SIZE });
  await percent(page, 30);
  await site.line.cut(20_000);
  const before = await now(page);
  assert.ok(!before.ended, JSON.stringify(before));
  site.line.rate = Infinity;
  assert.equal((await outcome(page)).size, SIZE);
});

test("urls_that_live_5_seconds_do_on_a_slow_line", async (t) => {
  const { page, calls } = await open(t);
  site.line.rate = 3 * MIB;
  await begin(page, { slot: "hasty", size: 40 * MIB });
  assert.equal((await outcome(page)).size, 40 * MIB);
  assert.ok(calls.filter((call) => call.endsWith("/sign")).length > 1, `${calls}`);
});

test("a_token_that_expires_on_the_way_is_fetched_again", async (t) => {
  const before = site.tokens.issued;
  const { page } = await open(t);
  site.tokens.lives = [3];
  site.line.rate = 8 * MIB;
  await begin(page, { size: SIZE });
  assert.equal((await outcome(page)).size, SIZE);
  assert.equal(site.tokens.issued, before + 2);
});

test("a_broker_that_is_killed_and_comes_back_costs_no_part", async (t) => {
  const { page } = await open(t);
  site.line.rate = 12 * MIB;
  site.line.parts.length = 0;
  await begin(page, { size: SIZE });
  await percent(page, 30);
  site.line.rate = CRAWL;
  const unanswered = page.waitForEvent("requestfailed", (request) => request.url().startsWith(site.url));
  await site.kill();
  site.line.rate = Infinity;
  await unanswered;
  await site.begin();
  assert.equal((await outcome(page)).size, SIZE);
  assert.deepEqual(site.line.parts.toSorted(byNumber), ALL);
});

test("a_cancelled_file_leaves_nothing_behind", async (t) => {
  const { page } = await open(t);
  site.line.rate = 12 * MIB;
  await begin(page, { size: SIZE });
  await percent(page, 40);
  site.line.rate = CRAWL;
  const { ticket } = await now(page);
  assert.equal((await multiparts(site.store, ticket)).length, 1);
  await page.evaluate(() => window.upload.cancel());
  await page.waitForFunction(() => window.upload.state === "cancelled");
  site.line.rate = Infinity;
  await until(async () => {
    await site.sweep();
    return (await multiparts(site.store, ticket)).length === 0 && (await keys(site.store, ticket)).length === 0;
  });
});

test("an_upload_that_the_store_dropped_starts_anew_under_the_same_ticket", async (t) => {
  const { page } = await open(t);
  site.line.rate = 12 * MIB;
  await begin(page, { size: SIZE });
  await percent(page, 60);
  site.line.rate = CRAWL;
  await page.evaluate(() => window.upload.pause());
  const { ticket } = await now(page);
  const [id] = await multiparts(site.store, ticket);
  await abort(site.store, ticket, id);
  site.line.rate = Infinity;
  await page.evaluate(() => window.upload.resume());
  const file = await outcome(page);
  assert.deepEqual([file.id, file.size], [ticket, SIZE]);
});

test("an_upload_that_was_completed_behind_our_back_is_recognised", async (t) => {
  const { page } = await open(t);
  site.line.rate = 12 * MIB;
  await begin(page, { size: SIZE });
  // By now every URL is signed; the last parts dawdle while the broker dies.
  await percent(page, 80);
  site.line.rate = MIB / 2;
  const { ticket } = await now(page);
  await site.kill();
  site.line.rate = Infinity;
  const [id] = await multiparts(site.store, ticket);
  await until(async () => (await partsOf(site.store, ticket, id)).length === ALL.length);
  await complete(site.store, ticket, id, await partsOf(site.store, ticket, id));
  await site.begin();
  assert.equal((await outcome(page)).id, ticket);
});

test("a_liar_is_refused_and_a_small_file_is_one_request", async (t) => {
  const { page, puts } = await open(t);
  const states = await page.evaluate(async () => {
    const files = [new File(["plain words\n"], "words.txt"), new File(["<!doctype html><p>no film"], "film.mp4", { type: "video/mp4" })];
    const uploads = await window.client.upload(files, { slot: "films" }).done;
    return uploads.map(({ state, error, result }) => [state, error?.code ?? result.type]);
  });
  assert.equal(puts.length, 2);
  assert.deepEqual(states[0], ["committed", "text/plain"]);
  assert.deepEqual(states[1], ["rejected", "content-rejected"]);
});

const byNumber = (a, b) => a - b;

async function open(t) {
  // What a test that failed left broken is not the next one's trouble.
  if (!site.isAlive()) await site.begin();
  site.line.rate = Infinity;
  site.line.parts.length = 0;
  site.tokens.lives = [];
  const visitor = await visit(t, site.browser, `${site.origin}/`, { broken: true });
  await prepare(visitor.page, owner(t));
  return visitor;
}

/** A client, and a file that is the same every time it is made. */
async function prepare(page, who) {
  await page.evaluate(async ([endpoint, who]) => {
    const { createClient } = await import("/client/putgate-client.js");
    const token = async () => (await (await fetch(`/token?sub=${who}`)).json()).token;
    window.client = createClient({ endpoint, token });
    window.film = (size) => new File([new Uint8Array(size).fill(7)], "film.bin", { lastModified: 1 });
  }, [site.url, who]);
}

function begin(page, { slot = "big", size }) {
  return page.evaluate(([slot, size]) => {
    window.upload = window.client.upload(window.film(size), { slot });
  }, [slot, size]);
}

function percent(page, least) {
  return page.waitForFunction((least) => window.upload.progress.percent >= least, least);
}

function now(page) {
  return page.evaluate(() => {
    const { state, waitingFor, ended, ticket, error } = window.upload;
    return { state, waitingFor, ended, ticket, error: error?.code };
  });
}

/** The file; throws with the reason when there is none. */
function outcome(page) {
  return page.evaluate(() => window.upload.done.catch(({ code, detail }) => {
    throw new Error(`${code}: ${detail}`);
  }));
}

async function until(holds) {
  const deadline = Date.now() + PATIENCE;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `${holds}`);
    await wait(50);
  }
}
