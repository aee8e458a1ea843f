// The four demo pages in a real browser, against the real binary: each page's whole story.
//
// PUTGATE_BIN: the binary (default target/debug/putgate). CHROMIUM: the browser (default /usr/bin/chromium).
// PUTGATE_TEST_STORE: the store (default devstore), as for the Rust tests.
// SCREENSHOTS: where the pictures and the server's log go (default screenshots/ beside this file).
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { start } from "./broker.mjs";
import { picture } from "./pictures.mjs";
import { PATIENCE, drop, dropPaths, owner, paste, shoot, visit } from "./visitor.mjs";

const LIAR = Buffer.from("<!doctype html><script>alert(document.domain)</script>");
const MIB = 1024 * 1024;
/** Bytes a second at which nothing ends while a test looks at it. */
const CRAWL = 50_000;

let urls, browser, stop;
before(async () => ({ urls, browser, stop } = await start("demo")));
after(() => stop?.());

// Photos.

test("photos_go_up_together_under_one_total_and_land_in_the_gallery", async (t) => {
  const { page, puts, throttle } = await open(t, "/");
  await throttle(400_000);
  await page.setInputFiles("#file", [
    png("harbour.png", picture(900, 700, null)),
    png("dunes.png", picture(300, 300, [214, 160, 80])),
    png("a-very-long-name-that-somebody-gave-to-a-picture-of-their-holidays-in-the-mountains-2026.png", picture(60, 60, [90, 120, 160])),
  ]);
  await page.locator("#progress[open]").waitFor();
  await page.waitForFunction(() => Number(document.querySelector("#total").getAttribute("aria-valuenow")) > 5);
  await page.locator("#total-words").filter({ hasText: /^\d of 3 committed, \d+ %/ }).waitFor();
  await shoot(page, "photos-progress");
  await throttle(-1);
  await page.locator("#progress:not([open])").waitFor({ state: "attached" });
  assert.equal(await page.locator(".gallery-item").count(), 3);
  await thumbnail(page, "harbour.png");
  await thumbnail(page, "dunes.png");
  assert.match(await item(page, "harbour.png").locator(".gallery-facts").innerText(), /image\/png\s*900 × 700/);
  assert.deepEqual(puts.map((url) => new URL(url).origin), Array(3).fill(new URL(urls.store_url).origin));
  assert.match(await page.locator("#usage").innerText(), /^3 of 5, /);
  await shoot(page, "photos");
});

test("a_web_page_named_png_is_refused_with_the_servers_reason_and_the_others_arrive", async (t) => {
  const { page } = await open(t, "/");
  await page.setInputFiles("#file", [png("x.png", LIAR), png("dunes.png", picture(64, 64, [214, 160, 80]))]);
  await state(page, "x.png", "rejected");
  await state(page, "dunes.png", "committed");
  assert.match(await row(page, "x.png").locator(".reason").innerText(), /text\/html.*\(content-rejected: active-content\)/);
  await page.locator("#close").waitFor();
  assert.equal(await page.locator("#progress-title").innerText(), "Not everything arrived");
  await shoot(page, "photos-refused");
  await page.click("#close");
  // The dialog says that it is closed with the browser's next frame, and the gallery asks the server.
  await page.waitForFunction(() => document.activeElement.id === "file");
  await item(page, "dunes.png").waitFor();
  assert.equal(await page.locator(".gallery-item").count(), 1);
});

test("a_drop_anywhere_on_the_page_is_taken", async (t) => {
  const { page } = await open(t, "/");
  await drop(page, ".brand", [png("dropped.png", picture(64, 64, [90, 160, 70]))], {
    hover: async () => {
      await page.locator("#veil").waitFor();
      await shoot(page, "photos-veil");
    },
  });
  await thumbnail(page, "dropped.png");
  assert.ok(await page.locator("#veil").isHidden());
});

test("a_dropped_folder_gives_all_its_pictures", async (t) => {
  const { page } = await open(t, "/");
  const dir = await mkdtemp(join(tmpdir(), "putgate-folder-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, "holidays/day-2"), { recursive: true });
  await writeFile(join(dir, "holidays/one.png"), picture(64, 64, [90, 160, 70]));
  await writeFile(join(dir, "holidays/day-2/two.png"), picture(64, 64, [190, 60, 70]));
  await writeFile(join(dir, "holidays/.DS_Store"), "left by a system");
  await dropPaths(page, "main", [join(dir, "holidays")]);
  await thumbnail(page, "one.png");
  await thumbnail(page, "two.png");
  assert.equal(await page.locator(".gallery-item").count(), 2);
});

test("a_pasted_picture_is_taken", async (t) => {
  const { page } = await open(t, "/");
  await paste(page, "body", [png("pasted.png", picture(64, 64, [90, 160, 70]))]);
  await thumbnail(page, "pasted.png");
});

test("one_by_one_sends_the_next_only_when_the_last_is_committed", async (t) => {
  const { page } = await open(t, "/");
  await page.getByLabel("One by one").check();
  const order = [];
  page.on("request", (request) => {
    if (request.method() === "PUT") order.push("put");
    if (request.url().includes("/complete")) order.push("complete");
  });
  await page.setInputFiles("#file", [1, 2, 3].map((n) => png(`p${n}.png`, picture(50 + n, 50, [40 * n, 80, 90]))));
  await page.locator(".gallery-item").nth(2).waitFor();
  assert.deepEqual(order, ["put", "complete", "put", "complete", "put", "complete"]);
});

test("a_full_slot_says_so_and_a_deleted_photo_makes_room", async (t) => {
  const { page } = await open(t, "/");
  const files = Array.from({ length: 6 }, (_, n) => png(`picture-${n}.png`, picture(160 + 20 * n, 120, [40 * n, 90, 200 - 30 * n])));
  await page.setInputFiles("#file", files.slice(0, 5));
  await page.locator(".gallery-item").nth(4).waitFor();
  await page.locator("#progress:not([open])").waitFor({ state: "attached" });
  await page.setInputFiles("#file", files.slice(5));
  await state(page, "picture-5.png", "rejected");
  assert.match(await row(page, "picture-5.png").locator(".reason").innerText(), /slot-full/);
  await page.click("#close");
  await shoot(page, "photos-full");
  await item(page, "picture-0.png").getByRole("button", { name: "Delete picture-0.png" }).click();
  await item(page, "picture-0.png").waitFor({ state: "detached" });
  await page.locator("#usage").filter({ hasText: "4 of 5" }).waitFor();
  await page.setInputFiles("#file", files.slice(5));
  await item(page, "picture-5.png").waitFor();
  await page.reload();
  await page.locator(".gallery-item").nth(4).waitFor();
  assert.equal(await item(page, "picture-0.png").count(), 0);
});

test("a_file_name_is_text_and_never_markup", async (t) => {
  const { page } = await open(t, "/");
  const name = "<img src=x onerror=alert(1)>.png";
  await page.setInputFiles("#file", png(name, picture(32, 32, [200, 60, 60])));
  await page.locator(".gallery-item").waitFor();
  assert.equal(await page.locator(".upload-name").textContent(), name);
  assert.equal(await page.locator(".gallery-name img, .upload-name img").count(), 0);
});

test("cancel_all_cancels_every_ticket_and_escape_does_not_hide_what_goes_on", async (t) => {
  const { page, throttle } = await open(t, "/");
  await throttle(CRAWL);
  await page.setInputFiles("#file", [1, 2].map((n) => png(`n${n}.png`, picture(500, 500, null))));
  await page.waitForFunction(() => document.querySelectorAll('.upload-row[data-state="uploading"]').length === 2);
  await page.keyboard.press("Escape");
  assert.ok(await page.locator("#progress[open]").isVisible());
  const deletions = new Promise((resolve) => {
    const seen = [];
    page.on("response", (answer) => {
      if (answer.request().method() === "DELETE" && seen.push(answer.status()) === 2) resolve(seen);
    });
  });
  await page.click("#cancel-all");
  await state(page, "n1.png", "cancelled");
  await state(page, "n2.png", "cancelled");
  await throttle(-1);
  assert.deepEqual(await deletions, [204, 204]);
  await page.click("#close");
  assert.equal(await page.locator(".gallery-item").count(), 0);
});

// Avatar.

test("an_avatar_is_previewed_uploaded_on_save_shown_and_replaced", async (t) => {
  const { page, calls, throttle } = await open(t, "/avatar");
  await page.locator("#rules").filter({ hasText: "up to 5 MB" }).waitFor();
  assert.match(await page.locator("#avatar").getAttribute("accept"), /\.png/);
  assert.equal(await page.locator("#avatar").getAttribute("multiple"), null);
  await shoot(page, "avatar");
  await page.setInputFiles("#avatar", png("me.png", picture(800, 600, null)));
  await page.locator('.upload-preview[data-upload-state="waiting"] img').waitFor();
  assert.match(await page.locator(".upload-preview").innerText(), /me\.png\s*Cancel\s*Ready to upload/);
  assert.equal(calls.filter((call) => call.startsWith("POST")).length, 0, "nothing moves before the form is saved");
  await shoot(page, "avatar-preview");
  await throttle(500_000);
  await page.getByRole("button", { name: "Save avatar" }).click();
  await page.waitForFunction(() => document.querySelector("progress").value > 5);
  await shoot(page, "avatar-progress");
  await throttle(-1);
  await page.locator("#saved").waitFor();
  assert.ok(await page.locator("#form").isHidden());
  assert.equal(await page.locator("#saved-name").innerText(), "me.png");
  assert.match(await page.locator("#saved-facts").innerText(), /MB, image\/png, 800 × 600/);
  await page.waitForFunction(() => document.querySelector("#picture").naturalWidth === 800);
  await shoot(page, "avatar-saved");
  await page.getByRole("button", { name: "Replace" }).click();
  await shoot(page, "avatar-replace");
  await drop(page, ".drop", [png("better.png", picture(64, 64, [20, 20, 80]))], {
    hover: () => page.locator(".drop.upload-dragover").waitFor(),
  });
  await page.locator(".upload-preview").filter({ hasText: "better.png" }).waitFor();
  await page.getByRole("button", { name: "Save avatar" }).click();
  await page.locator("#saved-name").filter({ hasText: "better.png" }).waitFor();
  await page.reload();
  await page.locator("#saved-name").filter({ hasText: "better.png" }).waitFor();
});

for (const [what, file, words] of [
  ["too_large", png("huge.png", Buffer.alloc(5_000_001, 7)), /\(file-too-large\)/],
  ["of_another_type", { name: "cv.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.7\n") }, /\(type-not-accepted\)/],
  ["not_what_its_name_says", png("x.png", LIAR), /text\/html.*\(content-rejected: active-content\)/],
]) {
  test(`an_avatar_that_is_${what}_is_refused_in_words`, async (t) => {
    const { page } = await open(t, "/avatar");
    await page.setInputFiles("#avatar", file);
    await page.locator(".upload-preview").waitFor();
    await page.getByRole("button", { name: "Save avatar" }).click();
    await page.locator("#refusal").filter({ hasText: words }).waitFor();
    assert.ok(await page.locator("#saved").isHidden());
    await shoot(page, `avatar-${what}`);
    // Another pick takes its place.
    await page.setInputFiles("#avatar", png("good.png", picture(64, 64, [20, 90, 80])));
    assert.equal(await page.locator(".upload-preview").count(), 1);
    assert.ok(await page.locator("#refusal").isHidden());
    await page.getByRole("button", { name: "Save avatar" }).click();
    await page.locator("#saved-name").filter({ hasText: "good.png" }).waitFor();
  });
}

test("saving_no_avatar_says_so", async (t) => {
  const { page } = await open(t, "/avatar");
  await page.locator("#rules").filter({ hasText: "5 MB" }).waitFor();
  await page.getByRole("button", { name: "Save avatar" }).click();
  await page.locator("#refusal").filter({ hasText: "Choose a picture first." }).waitFor();
});

// Documents.

test("documents_are_picked_dropped_cancelled_retried_and_removed_and_the_forms_value_follows", async (t) => {
  const { page, throttle } = await open(t, "/documents");
  const upload = page.locator("putgate-upload");
  await page.locator("#rules").filter({ hasText: "PDF" }).waitFor();
  await shoot(page, "documents");
  await page.setInputFiles("#upload input", text("minutes.txt", "what was said\n"));
  await upload.locator('.item[data-state="committed"]').waitFor();
  await item(page, "minutes.txt").waitFor();
  await throttle(200_000);
  await drop(page, "#upload", [{ name: "ledger.csv", mimeType: "text/csv", buffer: Buffer.from("a,b\n1,2\n".repeat(300_000)) }, text("a-note-with-a-name-that-is-long-enough-to-need-more-room-than-there-is-on-a-phone.txt", "hello\n")]);
  await upload.locator('.item[data-state="uploading"]').filter({ hasText: "ledger.csv" }).waitFor();
  await page.waitForFunction(() => document.querySelector("#upload").uploads[1].progress.percent > 5);
  await shoot(page, "documents-progress");
  await upload.getByRole("button", { name: "Cancel: ledger.csv" }).click();
  await upload.locator('.item[data-state="cancelled"]').filter({ hasText: "ledger.csv" }).waitFor();
  await throttle(-1);
  await upload.locator('.item[data-state="committed"]').nth(1).waitFor();
  await drop(page, "#upload", [text("x.txt", LIAR)]);
  await upload.locator('.item[data-state="rejected"]').filter({ hasText: "x.txt" }).waitFor();
  await shoot(page, "documents-mixed");
  await upload.getByRole("button", { name: "Try again: ledger.csv" }).click();
  await upload.locator('.item[data-state="committed"]').filter({ hasText: "ledger.csv" }).waitFor();
  const names = () => page.evaluate(() => document.querySelector("#upload").files.map(({ name }) => name).sort());
  assert.deepEqual(await names(), ["a-note-with-a-name-that-is-long-enough-to-need-more-room-than-there-is-on-a-phone.txt", "ledger.csv", "minutes.txt"]);
  await upload.getByRole("button", { name: "Remove: minutes.txt" }).click();
  assert.equal((await names()).length, 2);
  await item(page, "ledger.csv").waitFor();
  assert.equal(await page.locator(".gallery-item").count(), 3);
});

test("the_element_is_a_field_of_its_form", async (t) => {
  const { page } = await open(t, "/documents");
  await page.evaluate(() => {
    const form = document.createElement("form");
    const element = document.querySelector("#upload");
    element.required = true;
    element.before(form);
    form.append(element);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      window.sent = new FormData(form).getAll("documents");
    });
  });
  await page.locator("#upload .rules").filter({ hasText: "20 files" }).waitFor();
  assert.equal(await page.evaluate(() => document.querySelector("form").reportValidity()), false);
  await page.setInputFiles("#upload input", [text("one.txt", "one\n"), text("two.txt", "two\n")]);
  // Submitted at once: the form waits for its uploads.
  await page.evaluate(() => document.querySelector("form").requestSubmit());
  await page.waitForFunction(() => window.sent !== undefined);
  assert.deepEqual(await page.evaluate(() => window.sent), await page.evaluate(() => document.querySelector("#upload").value));
  assert.equal(await page.evaluate(() => window.sent.length), 2);
  await page.evaluate(() => document.querySelector("form").reset());
  assert.equal(await page.locator("#upload .item").count(), 0);
});

test("many_documents_and_long_names_stay_inside_their_boxes_and_come_in_pages", async (t) => {
  const { page, puts } = await open(t, "/documents");
  const files = Array.from({ length: 14 }, (_, n) =>
    text(n === 3 ? `minutes-of-the-${"very-".repeat(30)}long-meeting.txt` : `minutes-${n}.txt`, `what was said at meeting ${n}\n`));
  await page.setInputFiles("#upload input", files);
  await page.locator('#upload .item[data-state="committed"]').nth(13).waitFor();
  // Every one that was committed has the list fetched anew; the last answer counts.
  await page.locator("#gallery[aria-busy=false]").waitFor();
  assert.match(await page.locator("#usage").innerText(), /^14 of 20/);
  assert.equal(puts.length, 14);
  await shoot(page, "documents-many");
  assert.equal(await page.locator(".gallery-item").count(), 12);
  await page.getByRole("button", { name: "Load more" }).click();
  await page.locator(".gallery-item").nth(13).waitFor();
  await page.locator("#more").waitFor({ state: "hidden" });
  // A deletion leaves the pages where they are.
  await page.locator(".gallery-item .delete").nth(12).click();
  await page.locator("#usage").filter({ hasText: "13 of 20" }).waitFor();
  assert.equal(await page.locator(".gallery-item").count(), 13);
  const href = await page.locator(".download").first().getAttribute("href");
  assert.match(await (await fetch(href)).text(), /^what was said at meeting/);
});

test("a_web_page_in_disguise_among_documents_is_refused_in_plain_words", async (t) => {
  const { page } = await open(t, "/documents");
  await paste(page, "#upload", [text("page.txt", LIAR), { name: "empty.txt", mimeType: "text/plain", buffer: Buffer.alloc(0) }]);
  await page.locator('#upload .item[data-state="rejected"]').nth(1).waitFor();
  assert.match(await page.locator("#upload .item", { hasText: "empty.txt" }).innerText(), /file is empty/);
  assert.match(await page.locator("#upload .item", { hasText: "page.txt" }).innerText(), /holds a script/);
});

// Big file.

test("a_big_file_is_paused_resumed_reloaded_and_sends_only_what_is_missing", async (t) => {
  const { page, puts, throttle } = await open(t, "/big");
  const dir = await mkdtemp(join(tmpdir(), "putgate-big-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, "film.bin");
  await writeFile(path, Buffer.alloc(80 * MIB, 7));
  await shoot(page, "big");
  // Ten parts, five at a time: at 60 % some are there, and there is time to look. A change of pace would let go of
  // what is on the wire.
  await throttle(6 * MIB);
  await page.setInputFiles("#file", path);
  await percent(page, 10);
  await page.locator("#speed").filter({ hasText: "MB/s" }).waitFor();
  await page.locator("#left").filter({ hasText: / s$/ }).waitFor();
  await shoot(page, "big-progress");
  await page.click("#pause");
  await page.locator("#status").filter({ hasText: /^Paused at \d+ %$/ }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "resume");
  await shoot(page, "big-paused");
  await page.click("#resume");
  await percent(page, 60);
  await page.reload();
  await page.locator("#usage").filter({ hasText: "0 of 5" }).waitFor();
  const listed = page.waitForResponse((answer) => answer.url().endsWith("/parts"));
  puts.length = 0;
  await throttle(-1);
  await page.setInputFiles("#file", path);
  await page.locator("#now[data-state=committed]").waitFor();
  const have = (await (await listed).json()).parts.map(({ number }) => number);
  assert.ok(have.length > 0, "some parts were there");
  const sent = puts.map((url) => Number(new URL(url).searchParams.get("partNumber")));
  assert.deepEqual([...have, ...sent].sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await item(page, "film.bin").waitFor();
  await shoot(page, "big-done");
});

test("a_big_file_is_cancelled_and_begun_again", async (t) => {
  const { page, throttle } = await open(t, "/big");
  await throttle(1 * MIB);
  await drop(page, "#drop", [{ name: "big.bin", mimeType: "application/octet-stream", size: 20 * MIB }], {
    hover: () => page.locator("#drop.over").waitFor(),
  });
  await page.locator("#now[data-state=uploading]").waitFor();
  const answer = page.waitForResponse((response) => response.request().method() === "DELETE");
  await page.click("#cancel");
  assert.equal((await answer).status(), 204);
  assert.match(new URL((await answer).url()).pathname, /^\/v1\/tickets\/[0-9a-f-]+$/);
  await page.locator("#status").filter({ hasText: "Cancelled" }).waitFor();
  await shoot(page, "big-cancelled");
  await throttle(-1);
  await page.click("#retry");
  await item(page, "big.bin").waitFor();
});

// Around the pages.

test("the_pages_lead_to_one_another", async (t) => {
  const { page } = await open(t, "/");
  for (const [name, path] of [["Avatar", "/avatar"], ["Documents", "/documents"], ["Big file", "/big"], ["Photos", "/"]]) {
    await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
    await page.waitForURL((url) => url.pathname === path);
    assert.equal(await page.locator("[aria-current=page]").innerText(), name);
    // Who one is goes along.
    assert.equal(new URL(page.url()).searchParams.get("sub"), decodeURIComponent(owner(t)));
  }
});

test("a_checksum_goes_with_the_ticket_and_with_the_bytes", async (t) => {
  const { page } = await open(t, "/");
  const put = page.waitForRequest((request) => request.method() === "PUT");
  const outcome = await page.evaluate(async (endpoint) => {
    const { createClient } = await import("/client/putgate-client.js");
    const query = new URLSearchParams({ sub: "checksum", scope: "upload read" });
    const { token } = await (await fetch(`/dev/token?${query}`)).json();
    const states = [];
    const upload = createClient({ endpoint, token }).upload(
      new File(["plain words\n"], "words.txt", { type: "text/plain" }),
      { slot: "documents", checksum: true },
    );
    upload.addEventListener("state", ({ detail }) => states.push(detail));
    return { file: await upload.done, states };
  }, urls.api);
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
    ["https://uploads.example.com", urls.api],
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
  await page.goto(`${urls.url}/demo/demo.css`);
  await page.setContent(example);
  const pick = (name, buffer) => page.setInputFiles("#photo", { name, mimeType: "image/png", buffer });
  await pick("harbour.png", picture(64, 64, [24, 120, 160]));
  await page.locator("#said").filter({ hasText: "harbour.png is in: image/png" }).waitFor();
  assert.equal(await page.locator("#bar").evaluate((bar) => bar.value), 100);
  await pick("x.png", Buffer.from("<!doctype html><p>no picture</p>"));
  await page.locator("#said").filter({ hasText: /x\.png was refused: .*text\/html/ }).waitFor();
});

/** One of the pages, under an owner of the test's own. */
async function open(t, path) {
  const visitor = await visit(t, browser, `${urls.url}${path}?sub=${owner(t)}`);
  await visitor.page.locator("main").waitFor();
  // Before the slot is known the field takes one file, as any field does.
  if (path === "/documents") await visitor.page.locator("#upload .rules").filter({ hasText: "20 files" }).waitFor();
  return visitor;
}

function png(name, buffer) {
  return { name, mimeType: "image/png", buffer };
}

function text(name, content) {
  return { name, mimeType: "text/plain", buffer: Buffer.from(content) };
}

const row = (page, name) => page.locator(".upload-row").filter({ hasText: name });
const item = (page, name) => page.locator(".gallery-item").filter({ hasText: name });

async function state(page, name, expected) {
  const final = ["committed", "rejected", "failed", "cancelled"];
  const wanted = [...new Set([expected, ...final])].map((word) => `[data-state="${word}"]`).join(",");
  const reached = row(page, name).and(page.locator(wanted));
  await reached.waitFor();
  assert.equal(await reached.getAttribute("data-state"), expected, await reached.innerText());
}

/** Waits until storage has served the picture. */
async function thumbnail(page, name) {
  const image = item(page, name).locator(".thumb img");
  await image.waitFor();
  assert.ok(await image.evaluate((element) => element.naturalWidth > 0));
}

/** Waits until the big file is so far. */
function percent(page, least) {
  return page.waitForFunction((least) => Number(document.querySelector("#total").getAttribute("aria-valuenow")) >= least, least);
}
