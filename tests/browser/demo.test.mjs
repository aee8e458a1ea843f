// The README's story in a real browser: drop a picture, see it committed; drop a disguised page, see why not.
//
// PUTGATE_BIN: the binary (default target/debug/putgate). CHROMIUM: the browser (default /usr/bin/chromium).
// SCREENSHOTS: where the pictures and the server's log go (default screenshots/ beside this file).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { openSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { crc32, deflateSync } from "node:zlib";
import { chromium } from "playwright-core";

const BINARY = process.env.PUTGATE_BIN ?? fileURLToPath(new URL("../../target/debug/putgate", import.meta.url));
const SCREENSHOTS = process.env.SCREENSHOTS ?? fileURLToPath(new URL("screenshots", import.meta.url));
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 390, height: 844 };
const PATIENCE = 20_000;

let data, server, urls, browser;

before(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  data = await mkdtemp(join(tmpdir(), "putgate-browser-"));
  const flags = ["dev", "--listen", "127.0.0.1:0", "--store-listen", "127.0.0.1:0", "--data", data];
  server = spawn(BINARY, flags, { stdio: ["ignore", "pipe", openSync(join(SCREENSHOTS, "server.log"), "w")] });
  urls = JSON.parse(await firstLine(server));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
});

after(async () => {
  await browser?.close();
  if (server && server.exitCode === null) {
    const gone = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGTERM");
    await gone;
  }
  await rm(data, { recursive: true, force: true });
});

test("a_picked_picture_is_uploaded_to_storage_and_shown_in_the_gallery", async (t) => {
  const { page, puts } = await open(t, { slot: "photos" });
  await page.setInputFiles("#file", [
    { name: "harbour.png", mimeType: "image/png", buffer: picture(320, 240, [24, 120, 160]) },
    { name: "dunes.png", mimeType: "image/png", buffer: picture(300, 300, [214, 160, 80]) },
  ]);
  await state(page, "harbour.png", "committed");
  await state(page, "dunes.png", "committed");
  assert.equal(await page.locator(".gallery-item").count(), 2);
  await thumbnail(page, "harbour.png");
  await thumbnail(page, "dunes.png");
  assert.match(await item(page, "harbour.png").locator(".gallery-facts").innerText(), /image\/png/);
  assert.deepEqual(puts.map((url) => new URL(url).origin), Array(2).fill(new URL(urls.store_url).origin));
  await shoot(page, "photos");
});

test("a_web_page_named_png_is_refused_with_the_servers_reason", async (t) => {
  const { page, problems } = await open(t, { slot: "photos" });
  const html = Buffer.from("<!doctype html><script>alert(document.domain)</script>");
  await page.setInputFiles("#file", { name: "x.png", mimeType: "image/png", buffer: html });
  await state(page, "x.png", "rejected");
  const reason = await row(page, "x.png").locator(".reason").innerText();
  const problem = (await Promise.all(problems)).find(({ code }) => code === "content-rejected");
  assert.ok(problem, "the server answered with a problem");
  assert.ok(reason.toLowerCase().includes(problem.detail.toLowerCase()), `“${reason}” holds “${problem.detail}”`);
  assert.ok(reason.includes(problem.reason), `“${reason}” holds “${problem.reason}”`);
  assert.equal(await page.locator(".gallery-item").count(), 0);
  await shoot(page, "rejected");
});

test("a_large_picture_goes_up_in_parts", async (t) => {
  const { page, puts } = await open(t, { slot: "photos" });
  // Noise does not shrink: 9.2 MB, over the slot's part size of 8 MiB and below its 10 MB.
  const large = picture(1700, 1800, null);
  assert.ok(large.length > 8 * 1024 * 1024 && large.length < 10_000_000);
  await page.setInputFiles("#file", { name: "noise.png", mimeType: "image/png", buffer: large });
  await state(page, "noise.png", "committed");
  assert.deepEqual(puts.map((url) => new URL(url).searchParams.get("partNumber")).sort(), ["1", "2"]);
  await thumbnail(page, "noise.png");
  assert.match(await item(page, "noise.png").locator(".gallery-facts").innerText(), /1700 × 1800/);
});

test("many_files_and_long_names_stay_inside_their_boxes", async (t) => {
  const { page, puts } = await open(t, { slot: "documents" });
  const files = Array.from({ length: 14 }, (_, n) => ({
    name: n === 3 ? `minutes-of-the-${"very-".repeat(30)}long-meeting.txt` : `minutes-${n}.txt`,
    mimeType: "text/plain",
    buffer: Buffer.from(`what was said at meeting ${n}\n`),
  }));
  await page.setInputFiles("#file", files);
  for (const { name } of files) await state(page, name, "committed");
  assert.equal(puts.length, 14);
  await page.locator(".gallery-item").nth(11).waitFor();
  await page.locator("#usage").filter({ hasText: "14 of 20" }).waitFor();
  await shoot(page, "many");
  await page.getByRole("button", { name: "Load more" }).click();
  await page.locator(".gallery-item").nth(13).waitFor();
  await page.locator("#more").waitFor({ state: "hidden" });
});

test("a_full_slot_says_so", async (t) => {
  const { page } = await open(t, { slot: "photos" });
  const files = Array.from({ length: 6 }, (_, n) => ({
    name: `picture-${n}.png`, mimeType: "image/png", buffer: picture(160 + 20 * n, 120, [40 * n, 90, 200 - 30 * n]),
  }));
  await page.setInputFiles("#file", files.slice(0, 5));
  for (const { name } of files.slice(0, 5)) await state(page, name, "committed");
  await page.setInputFiles("#file", files.slice(5));
  await state(page, "picture-5.png", "rejected");
  assert.match(await row(page, "picture-5.png").locator(".reason").innerText(), /slot-full/);
  await page.locator("#usage").filter({ hasText: "5 of 5" }).waitFor();
  await shoot(page, "full");
});

test("an_empty_file_is_refused_on_the_page_and_asks_the_server_nothing", async (t) => {
  const { page, problems } = await open(t, { slot: "documents" });
  const before = problems.length;
  await page.setInputFiles("#file", { name: "empty.txt", mimeType: "text/plain", buffer: Buffer.alloc(0) });
  await state(page, "empty.txt", "rejected");
  assert.match(await row(page, "empty.txt").locator(".reason").innerText(), /^This file is empty\./);
  assert.equal(problems.length, before);
  await row(page, "empty.txt").getByRole("button", { name: "Dismiss empty.txt" }).click();
  assert.equal(await page.locator(".upload-row").count(), 0);
});

test("the_slots_are_in_the_order_of_the_configuration", async (t) => {
  const { page } = await open(t, { slot: "big" });
  assert.deepEqual(await page.locator(".slot-choice span").allInnerTexts(), ["Avatar", "Photos", "Documents", "Big"]);
});

test("a_long_list_of_uploads_is_whole", async (t) => {
  const { page } = await open(t, { slot: "documents" });
  const files = Array.from({ length: 8 }, (_, n) => ({
    name: `page-${n}.txt`, mimeType: "text/plain", buffer: Buffer.from("<!doctype html><script>alert(1)</script>"),
  }));
  await page.setInputFiles("#file", files);
  for (const { name } of files) await state(page, name, "rejected");
  const hidden = await page.locator("#uploads").evaluate((list) => list.scrollHeight - list.clientHeight);
  assert.ok(hidden <= 0, `${hidden} px are hidden`);
  await shoot(page, "long-list");
});

test("a_dropped_picture_is_uploaded", async (t) => {
  const { page } = await open(t, { slot: "photos" });
  await drop(page, "dropped.png", "image/png", picture(64, 64, [90, 160, 70]));
  await state(page, "dropped.png", "committed");
  await thumbnail(page, "dropped.png");
});

test("a_file_name_is_text_and_never_markup", async (t) => {
  const { page } = await open(t, { slot: "photos" });
  const name = "<img src=x onerror=alert(1)>.png";
  await page.setInputFiles("#file", { name, mimeType: "image/png", buffer: picture(32, 32, [200, 60, 60]) });
  await page.locator('.upload-row[data-state="committed"]').waitFor({ timeout: PATIENCE });
  assert.equal(await page.locator(".upload-name").innerText(), name);
  assert.equal(await page.locator(".upload-row img, .gallery-name img").count(), 0);
});

test("a_new_avatar_takes_the_place_of_the_old_one", async (t) => {
  const { page } = await open(t, { slot: "avatar" });
  await page.setInputFiles("#file", { name: "old.png", mimeType: "image/png", buffer: picture(48, 48, [20, 20, 80]) });
  await state(page, "old.png", "committed");
  await item(page, "old.png").waitFor();
  await page.setInputFiles("#file", { name: "new.png", mimeType: "image/png", buffer: picture(48, 48, [90, 20, 80]) });
  await state(page, "new.png", "committed");
  await item(page, "new.png").waitFor();
  await item(page, "old.png").waitFor({ state: "detached" });
});

test("a_deleted_file_leaves_the_gallery_for_good", async (t) => {
  const { page } = await open(t, { slot: "documents" });
  await page.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("plain words\n") });
  await state(page, "notes.txt", "committed");
  await item(page, "notes.txt").getByRole("button", { name: "Delete notes.txt" }).click();
  await item(page, "notes.txt").waitFor({ state: "detached" });
  await page.reload();
  await page.locator("#empty").waitFor();
  assert.equal(await page.locator(".gallery-item").count(), 0);
});

test("a_cancelled_upload_cancels_its_ticket", async (t) => {
  const { page } = await open(t, { slot: "big" });
  const network = await page.context().newCDPSession(page);
  await network.send("Network.enable");
  await drop(page, "big.bin", "application/octet-stream", 64 * 1024 * 1024, async () => {
    // A line on which the file takes minutes, so that there is something to cancel.
    await network.send("Network.emulateNetworkConditions", {
      offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 200_000,
    });
  });
  await state(page, "big.bin", "uploading");
  const answer = page.waitForResponse((response) => response.request().method() === "DELETE");
  await row(page, "big.bin").getByRole("button", { name: "Cancel big.bin" }).click();
  assert.equal((await answer).status(), 204);
  assert.match(new URL((await answer).url()).pathname, /^\/v1\/tickets\/[0-9a-f-]+$/);
  await state(page, "big.bin", "cancelled");
  assert.equal(await page.locator(".gallery-item").count(), 0);
});

test("a_checksum_goes_with_the_ticket_and_with_the_bytes", async (t) => {
  const { page } = await open(t, { slot: "documents" });
  const put = page.waitForRequest((request) => request.method() === "PUT");
  const outcome = await page.evaluate(async () => {
    const { createClient } = await import("/client/putgate-client.js");
    const query = new URLSearchParams({ sub: "checksum", scope: "upload read" });
    const { token } = await (await fetch(`/dev/token?${query}`)).json();
    const states = [];
    const upload = createClient({ endpoint: location.origin, token }).upload(
      new File(["plain words\n"], "words.txt", { type: "text/plain" }),
      { slot: "documents", checksum: true },
    );
    upload.addEventListener("state", ({ detail }) => states.push(detail));
    return { file: await upload.done, states };
  });
  const digest = createHash("sha256").update("plain words\n").digest("base64");
  assert.equal((await put).headers()["x-amz-checksum-sha256"], digest);
  assert.equal((await put).headers()["authorization"], undefined);
  assert.equal((await put).headers()["content-type"], undefined);
  assert.equal(outcome.file.name, "words.txt");
  assert.equal(outcome.file.sha256, digest);
  assert.deepEqual(outcome.states, ["hashing", "waiting", "uploading", "verifying", "committed"]);
});

test("the_page_in_the_clients_readme_uploads", async (t) => {
  const readme = await readFile(new URL("../../client-js/README.md", import.meta.url), "utf8");
  const here = [
    ["https://uploads.example.com", urls.url],
    ["/putgate-client.js", "/client/putgate-client.js"],
    ['(await fetch("/upload-token")).text()', '(await (await fetch("/dev/token?sub=readme")).json()).token'],
  ];
  const example = here.reduce((text, [theirs, ours]) => {
    assert.ok(text.includes(theirs), `the example has ${theirs}`);
    return text.replace(theirs, ours);
  }, /^```html\n(.*?)^```$/ms.exec(readme)[1]);
  // Any document of the origin will do as a place for the example; its policy is not the example's.
  const context = await browser.newContext({ bypassCSP: true });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(`${urls.url}/livez`);
  await page.setContent(example);
  const pick = (name, buffer) => page.setInputFiles("#photo", { name, mimeType: "image/png", buffer });
  await pick("harbour.png", picture(64, 64, [24, 120, 160]));
  await page.locator("#said").filter({ hasText: "harbour.png is in: image/png" }).waitFor();
  assert.equal(await page.locator("#bar").evaluate((bar) => bar.value), 100);
  await pick("x.png", Buffer.from("<!doctype html><p>no picture</p>"));
  await page.locator("#said").filter({ hasText: /x\.png was refused: .*text\/html/ }).waitFor();
});

test("a_keyboard_alone_reaches_the_slots_and_the_file_picker", async (t) => {
  const { page } = await open(t, { slot: "photos" });
  await page.locator("#slot input[value=photos]").focus();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "file");
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Space");
  assert.ok((await chooser).isMultiple());
});

/** The page in a context and under an owner of its own; fails the test on any error the console shows. */
async function open(t, { slot }) {
  const context = await browser.newContext({ viewport: WIDE });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  const puts = [];
  const problems = [];
  page.on("console", (message) => {
    // Chromium writes a line for every 4xx that the page asked for and handles.
    const handled = /the server responded with a status of 4\d\d/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !handled) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (request.method() === "PUT") puts.push(request.url());
  });
  page.on("response", (response) => {
    // A refusal is a problem; a closed ticket, read later, holds one.
    if (!response.headers()["content-type"]?.includes("json")) return;
    problems.push(response.json().then((body) => body.problem ?? body, () => ({})));
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  const owner = t.name.slice(0, 60);
  await page.goto(`${urls.url}/?sub=${encodeURIComponent(owner)}#${slot}`);
  await page.locator(`#slot input[value=${slot}]:checked`).waitFor({ state: "attached" });
  await page.locator("#empty").waitFor();
  return { page, puts, problems };
}

const row = (page, name) => page.locator(".upload-row").filter({ hasText: name });
const item = (page, name) => page.locator(".gallery-item").filter({ hasText: name });

async function state(page, name, expected) {
  const final = ["committed", "rejected", "failed", "cancelled"];
  const wanted = [...new Set([expected, ...final])].map((word) => `[data-state="${word}"]`).join(",");
  const reached = row(page, name).and(page.locator(wanted));
  await reached.waitFor({ timeout: PATIENCE });
  assert.equal(await reached.getAttribute("data-state"), expected, await reached.innerText());
}

/** Waits until storage has served the picture. */
async function thumbnail(page, name) {
  const image = item(page, name).locator(".thumb img");
  await image.waitFor({ timeout: PATIENCE });
  assert.ok(await image.evaluate((element) => element.naturalWidth > 0));
}

/** Drops a file of these bytes, or of this many zeros, on the zone. */
async function drop(page, name, type, content, prepare = async () => {}) {
  const given = typeof content === "number" ? content : content.toString("base64");
  const transfer = await page.evaluateHandle(([name, type, given]) => {
    const bytes = typeof given === "number" ? new Uint8Array(given) : Uint8Array.from(atob(given), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type }));
    return transfer;
  }, [name, type, given]);
  await prepare();
  for (const event of ["dragenter", "dragover", "drop"]) {
    await page.dispatchEvent("#drop", event, { dataTransfer: transfer });
  }
}

/** Pictures of the page as it is, wide and narrow, light and dark; also: nothing is wider than the screen. */
async function shoot(page, name) {
  for (const [width, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${name} ${width}: ${overflow} px too wide`);
  }
}

/** A valid PNG: a sky of this colour over a darker ground, or noise. */
function picture(width, height, colour) {
  const lines = colour ? landscape(width, height, colour) : noise(width, height);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(lines)), chunk("IEND", Buffer.alloc(0))]);
}

/** A PNG line is a filter byte, 0 for none, and three bytes a pixel. */
function noise(width, height) {
  const lines = randomBytes(height * (1 + 3 * width));
  for (let y = 0; y < height; y += 1) lines[y * (1 + 3 * width)] = 0;
  return lines;
}

function landscape(width, height, [red, green, blue]) {
  const lines = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const hill = height * (0.6 + 0.1 * Math.sin((x / width) * 7));
      const shade = y > hill ? 0.45 : 1 + 0.5 * (y / height);
      const at = y * (1 + 3 * width) + 1 + 3 * x;
      [red, green, blue].forEach((colour, i) => (lines[at + i] = Math.min(255, colour * shade)));
    }
  }
  return lines;
}

function chunk(type, content) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(content.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

/** The first line the server prints; throws when it ends without one. */
function firstLine(child) {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code} before it was ready; see server.log`)));
  });
}
