// The client in a real browser, against the real binary: what no fake transport can show.
//
// PUTGATE_BIN, PUTGATE_TEST_STORE, CHROMIUM, SCREENSHOTS: as in demo.test.mjs.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { start } from "./broker.mjs";

const PATIENCE = 30_000;
const MIB = 1024 * 1024;
const PART = 8 * MIB;
/** Bytes a second at which nothing ends while a test looks at it. */
const CRAWL = 50_000;

let urls, browser, stop;
before(async () => ({ urls, browser, stop } = await start("client")));
after(() => stop?.());

test("a_small_file_is_one_request_and_committed", async (t) => {
  const { page, puts } = await open(t);
  const outcome = await upload(page, { slot: "documents", size: 0, text: "plain words\n" });
  assert.equal(outcome.file.type, "text/plain");
  assert.deepEqual(outcome.states, ["uploading", "verifying", "committed"]);
  assert.deepEqual(outcome.last, { loaded: 12, total: 12, percent: 100, speed: null, timeLeft: null });
  assert.equal(puts.length, 1);
});

test("a_large_file_is_sent_in_parts_and_committed_whole", async (t) => {
  const { page, puts } = await open(t);
  const { file, percents } = await upload(page, { slot: "big", size: 20 * MIB });
  assert.equal(file.size, 20 * MIB);
  assert.deepEqual(numbers(puts), [1, 2, 3]);
  assert.ok(percents.some((percent) => percent > 0 && percent < 99), `${percents}`);
  // What was stored is what was sent. (Pages show files and link to them; whether they may also
  // fetch them is the store's word, and Garage says no.)
  const sent = await page.evaluate(async (size) => {
    const bytes = await crypto.subtle.digest("SHA-256", await window.film(size).arrayBuffer());
    return [...new Uint8Array(bytes)];
  }, 20 * MIB);
  const stored = await (await fetch(new URL(file.url, page.url()))).arrayBuffer();
  assert.deepEqual([...createHash("sha256").update(Buffer.from(stored)).digest()], sent);
});

test("a_reload_sends_only_the_parts_that_are_missing", async (t) => {
  const { page, puts, listed, throttle } = await open(t);
  await throttle(4 * MIB);
  await begin(page, { slot: "big", size: 6 * PART, concurrency: 2 });
  await half(page);
  await page.reload();
  await prepare(page);
  await throttle(-1);
  puts.length = 0;
  listed.length = 0;
  const { file } = await upload(page, { slot: "big", size: 6 * PART });
  assert.equal(file.size, 6 * PART);
  const have = (await Promise.all(listed))[0];
  assert.ok(have.length > 0, "some parts were there");
  assert.deepEqual([...have, ...numbers(puts)].sort(), [1, 2, 3, 4, 5, 6]);
  // The next upload of the same file is a new one.
  const again = await upload(page, { slot: "big", size: 6 * PART });
  assert.notEqual(again.file.id, file.id);
});

test("nothing_that_is_kept_in_the_browser_is_a_url_or_a_name", async (t) => {
  const { page, throttle } = await open(t);
  await throttle(CRAWL);
  await begin(page, { slot: "big", size: 3 * PART });
  await page.waitForFunction(() => window.upload.progress.loaded > 0);
  const kept = await page.evaluate(everythingKept);
  assert.equal(kept.values.length, 1);
  assert.deepEqual(Object.keys(kept.values[0]).sort(), ["expires", "ticket"]);
  assert.ok(!/https?:|film/.test(JSON.stringify(kept)), JSON.stringify(kept));
  await page.evaluate(() => window.upload.cancel());
});

test("what_has_had_its_time_is_forgotten", async (t) => {
  const { page } = await open(t);
  await upload(page, { slot: "documents", size: 0, text: "plain words\n" });
  await page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open("putgate");
        opening.onsuccess = () => {
          const transaction = opening.result.transaction("uploads", "readwrite");
          transaction.objectStore("uploads").put({ ticket: "long ago", expires: Date.now() - 1 }, "old");
          transaction.oncomplete = resolve;
        };
      }),
  );
  assert.ok((await page.evaluate(everythingKept)).keys.includes("old"));
  await page.reload();
  await prepare(page);
  await upload(page, { slot: "documents", size: 0, text: "other words\n" });
  const { keys } = await page.evaluate(everythingKept);
  assert.ok(keys.length > 0 && !keys.includes("old"), `${keys}`);
});

test("a_second_tab_waits_and_takes_the_outcome_of_the_first", async (t) => {
  const { page, puts, context, throttle } = await open(t);
  const other = await tab(context);
  await throttle(CRAWL);
  await begin(page, { slot: "big", size: 3 * PART });
  await page.waitForFunction(() => window.upload.progress.loaded > 0);
  await begin(other, { slot: "big", size: 3 * PART });
  await other.waitForFunction(() => window.upload.waitingFor === "other-tab");
  await throttle(-1);
  const [first, second] = await Promise.all([page, other].map((tab) => tab.evaluate(async () => (await window.upload.done).id)));
  assert.equal(second, first);
  assert.deepEqual(numbers(puts), [1, 2, 3]);
});

test("a_tab_that_is_closed_leaves_its_parts_to_the_next", async (t) => {
  const { page, puts, listed, context, throttle } = await open(t);
  const other = await tab(context);
  await throttle(4 * MIB);
  await begin(page, { slot: "big", size: 6 * PART, concurrency: 2 });
  await half(page);
  await begin(other, { slot: "big", size: 6 * PART });
  await other.waitForFunction(() => window.upload.waitingFor === "other-tab");
  puts.length = 0;
  await page.close();
  assert.equal(await other.evaluate(async () => (await window.upload.done).size), 6 * PART);
  const have = (await Promise.all(listed)).at(-1);
  assert.ok(have.length > 0);
  assert.deepEqual([...have, ...numbers(puts)].sort(), [1, 2, 3, 4, 5, 6]);
});

test("a_pause_stops_the_wire_and_a_resume_sends_the_rest", async (t) => {
  const { page, throttle } = await open(t);
  await throttle(4 * MIB);
  await begin(page, { slot: "big", size: 6 * PART, concurrency: 2 });
  await half(page);
  await page.evaluate(() => window.upload.pause());
  assert.deepEqual(await page.evaluate(() => [window.upload.state, window.upload.waitingFor]), ["waiting", "resume"]);
  await throttle(-1);
  await page.evaluate(() => window.upload.resume());
  assert.equal(await page.evaluate(async () => (await window.upload.done).size), 6 * PART);
});

test("an_outage_of_the_network_is_waited_out", async (t) => {
  const { page, throttle } = await open(t);
  await throttle(8 * MIB);
  await begin(page, { slot: "big", size: 4 * PART });
  await page.waitForFunction(() => window.upload.progress.percent >= 20);
  await throttle(-1, true);
  await page.waitForFunction(() => window.upload.waitingFor === "network");
  await throttle(-1);
  assert.equal(await page.evaluate(async () => (await window.upload.done).size), 4 * PART);
});

test("a_file_that_changes_on_disk_is_its_own_error", async (t) => {
  const { page, throttle } = await open(t);
  const { mkdtemp, rm, truncate, writeFile } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const dir = await mkdtemp(join(tmpdir(), "putgate-changed-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, "film.bin");
  await writeFile(path, Buffer.alloc(4 * PART, 7));
  await page.setContent('<input type="file" id="file">');
  await page.setInputFiles("#file", path);
  await throttle(4 * MIB);
  await page.evaluate(() => {
    const [file] = document.getElementById("file").files;
    window.upload = window.client.upload(file, { slot: "big" });
  });
  await page.waitForFunction(() => window.upload.progress.percent >= 10);
  await truncate(path, PART);
  await throttle(-1);
  const code = await page.evaluate(() => window.upload.done.then(() => "committed", ({ code }) => code));
  assert.equal(code, "file-changed");
});

test("a_picked_file_is_checked_against_the_slot_before_anything_is_asked_for", async (t) => {
  const { page, calls } = await open(t);
  const codes = await page.evaluate(async () => {
    const files = [
      new File(["<p>"], "page.html", { type: "text/html" }),
      new File([new Uint8Array(11_000_000)], "large.png", { type: "image/png" }),
      new File([], "empty.png", { type: "image/png" }),
    ];
    const queue = window.client.upload(files, { slot: "photos" });
    return (await queue.done).map(({ state, error }) => [state, error.code]);
  });
  assert.deepEqual(codes, [["rejected", "type-not-accepted"], ["rejected", "file-too-large"], ["rejected", "invalid-request"]]);
  assert.deepEqual(calls.filter((call) => call.startsWith("POST")), []);
});

/** In the page: what IndexedDB holds. */
function everythingKept() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("putgate");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const store = opening.result.transaction("uploads").objectStore("uploads");
      const [keys, values] = [store.getAllKeys(), store.getAll()];
      values.onsuccess = () => resolve({ keys: keys.result, values: values.result });
    };
  });
}

/** Part numbers, in order. */
function numbers(puts) {
  return puts.map((url) => Number(new URL(url).searchParams.get("partNumber"))).sort();
}

/** An empty page of the broker's origin, with a client of an owner of its own. */
async function open(t) {
  const context = await browser.newContext({ bypassCSP: true });
  t.after(() => context.close());
  const puts = [];
  const listed = [];
  const calls = [];
  context.on("request", (request) => {
    if (request.method() === "PUT") puts.push(request.url());
    const { pathname } = new URL(request.url());
    if (pathname.startsWith("/v1/")) calls.push(`${request.method()} ${pathname}`);
  });
  context.on("response", (response) => {
    if (!response.url().endsWith("/parts")) return;
    listed.push(response.json().then(({ parts }) => parts.map(({ number }) => number)));
  });
  const owner = t.name.slice(0, 60);
  await context.addInitScript((owner) => (window.owner = owner), owner);
  const page = await tab(context);
  const network = await context.newCDPSession(page);
  await network.send("Network.enable");
  const throttle = (uploadThroughput, offline = false) =>
    network.send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput });
  return { context, page, puts, listed, calls, throttle };
}

async function tab(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(`${urls.url}/demo/demo.css`);
  await prepare(page);
  return page;
}

/** A client, and a file that is the same every time it is made. */
async function prepare(page) {
  await page.evaluate(async (endpoint) => {
    const { createClient } = await import("/client/putgate-client.js");
    window.client = createClient({
      endpoint,
      token: async () => {
        const query = new URLSearchParams({ sub: window.owner, scope: "upload read delete" });
        return (await (await fetch(`/dev/token?${query}`)).json()).token;
      },
    });
    window.film = (size) => {
      const bytes = new Uint8Array(size);
      for (let at = 0; at < size; at += 1021) bytes[at] = at >> 10;
      return new File([bytes], "film.bin", { lastModified: 1 });
    };
  }, urls.api);
}

/** Begins an upload as `window.upload`. */
async function begin(page, { slot, size, text, concurrency }) {
  await page.evaluate(([slot, size, text, concurrency]) => {
    const file = text ? new File([text], "words.txt", { type: "text/plain" }) : window.film(size);
    const upload = (window.upload = window.client.upload(file, { slot, concurrency }));
    window.states = [];
    window.percents = [];
    upload.addEventListener("state", ({ detail }) => window.states.push(detail));
    upload.addEventListener("progress", ({ detail }) => window.percents.push(detail.percent));
  }, [slot, size, text, concurrency]);
}

/** Until half of an upload is sent: of six parts, two at a time, two are there by then. */
async function half(page) {
  await page.waitForFunction(() => window.upload.progress.percent >= 50);
}

/** An upload to its end. */
async function upload(page, wish) {
  await begin(page, wish);
  return page.evaluate(async () => {
    const file = await window.upload.done;
    return { file, states: window.states, percents: window.percents, last: window.upload.progress };
  });
}
