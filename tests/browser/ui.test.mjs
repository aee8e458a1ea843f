// What the element and the binding owe to any page: files that come early, other words, other directions, room for a finger.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { picture } from "./pictures.mjs";
import { startSite } from "./site.mjs";
import { drop, owner, paste, shoot, visit } from "./visitor.mjs";

const SLOTS = `
[slots.avatar]
accept = [".jpg", ".png", ".webp"]
max_file_size = "5MB"
on_full = "replace"
[slots.documents]
accept = [".pdf", ".txt"]
max_entries = 20
`;
const pages = {};

let site;
before(async () => {
  site = await startSite("ui", { slots: SLOTS, pages });
});
after(() => site?.stop());

test("what_is_dropped_and_pasted_before_the_slot_is_known_is_kept", async (t) => {
  const { page, letGo } = await open(t, element(t, "documents"));
  await drop(page, "putgate-upload", [text("dropped.txt"), text("too.txt")]);
  await paste(page, "putgate-upload", [text("pasted.txt")]);
  await page.setInputFiles("putgate-upload input", text("picked.txt"));
  assert.equal(await page.locator("putgate-upload .item").count(), 0);
  letGo();
  await page.locator('putgate-upload .item[data-state="committed"]').nth(3).waitFor();
  const names = await page.evaluate(() => document.querySelector("putgate-upload").files.map(({ name }) => name).sort());
  assert.deepEqual(names, ["dropped.txt", "pasted.txt", "picked.txt", "too.txt"]);
});

test("of_what_came_early_a_slot_for_one_takes_the_last", async (t) => {
  const { page, letGo } = await open(t, element(t, "avatar"));
  await drop(page, "putgate-upload", [png("first.png")]);
  await drop(page, "putgate-upload", [png("last.png")]);
  letGo();
  await page.locator('putgate-upload .item[data-state="committed"]').waitFor();
  assert.deepEqual(await page.locator("putgate-upload .name").allInnerTexts(), ["last.png"]);
  await page.locator("putgate-upload label").filter({ hasText: "Replace" }).waitFor();
});

for (const [markup, body] of [["element", (t) => element(t, "avatar", "required")], ["binding", binding]]) {
  test(`a_form_that_is_submitted_before_the_slot_is_known_waits_for_the_${markup}`, async (t) => {
    const { page, letGo } = await open(t, body(t));
    await drop(page, ".zone", [png("me.png")]);
    // The drop is read a moment later; until then nothing is there that a form could send.
    await page.waitForFunction(() => document.querySelector("form").checkValidity());
    await page.getByRole("button", { name: "Save" }).click();
    assert.equal(await page.evaluate(() => window.sent), undefined);
    letGo();
    await page.waitForFunction(() => window.sent !== undefined);
    const sent = await page.evaluate(() => window.sent);
    assert.equal(sent.length, 1);
    assert.match(sent[0], /^[0-9a-f-]{36}$/);
  });
}

test("a_slot_that_cannot_be_had_says_so_and_another_try_takes_what_was_given", async (t) => {
  const { page, letGo } = await open(t, element(t, "documents"));
  await drop(page, "putgate-upload", [text("patient.txt")]);
  letGo({ status: 403, contentType: "application/problem+json", body: JSON.stringify({ status: 403, code: "forbidden", detail: "not here" }) });
  await page.locator("putgate-upload [role=alert]").filter({ hasText: "You may not upload here." }).waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator('putgate-upload .item[data-state="committed"]').filter({ hasText: "patient.txt" }).waitFor();
  assert.ok(await page.locator("putgate-upload [role=alert]").isHidden());
});

test("an_element_that_is_moved_within_its_page_keeps_its_uploads", async (t) => {
  const { page, letGo, calls } = await open(t, element(t, "documents"));
  letGo();
  await page.locator("putgate-upload .rules").filter({ hasText: "20 files" }).waitFor();
  await page.setInputFiles("putgate-upload input", text("kept.txt"));
  await page.locator('putgate-upload .item[data-state="committed"]').waitFor();
  await page.evaluate(() => document.body.append(document.querySelector("putgate-upload")));
  assert.equal(await page.evaluate(() => document.querySelector("putgate-upload").value.length), 1);
  await page.setInputFiles("putgate-upload input", text("more.txt"));
  await page.locator('putgate-upload .item[data-state="committed"]').nth(1).waitFor();
  assert.ok(!calls.some((call) => call.startsWith("DELETE")), `${calls}`);
});

test("a_page_says_it_in_its_own_words", async (t) => {
  const { page, letGo } = await open(t, element(t, "avatar"));
  letGo();
  await page.locator("putgate-upload .rules").filter({ hasText: "Up to 5 MB." }).waitFor();
  await page.evaluate(() => {
    document.querySelector("putgate-upload").strings = {
      choose: "Bild wählen", rules: "Höchstens {size}.", remove: "Entfernen", actionOf: "{name}: {action}",
      problems: { "type-not-accepted": "Nur Bilder, bitte." },
    };
  });
  await page.getByLabel("Bild wählen").waitFor({ state: "attached" });
  assert.equal(await page.locator("putgate-upload .rules").innerText(), "Höchstens 5 MB.");
  await page.setInputFiles("putgate-upload input", { name: "cv.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.7\n") });
  await page.locator("putgate-upload .status").filter({ hasText: "Nur Bilder, bitte." }).waitFor();
  await page.getByRole("button", { name: "cv.pdf: Entfernen" }).waitFor();
  // What is already there changes its words too, and what the page does not say stays English.
  await page.evaluate(() => (document.querySelector("putgate-upload").strings = { remove: "Retirer" }));
  await page.getByRole("button", { name: "Retirer: cv.pdf" }).waitFor();
});

test("from_right_to_left_everything_is_mirrored", async (t) => {
  const { page, throttle, letGo } = await open(t, element(t, "documents"));
  letGo();
  await page.locator("putgate-upload .rules").filter({ hasText: "20 files" }).waitFor();
  await page.evaluate(() => (document.documentElement.dir = "rtl"));
  await throttle(20_000);
  await page.setInputFiles("putgate-upload input", { ...text("تقرير.txt"), buffer: Buffer.from("plain words\n".repeat(30_000)) });
  const item = page.locator('putgate-upload .item[data-state="uploading"]');
  await page.waitForFunction(() => document.querySelector("putgate-upload").uploads[0].progress.percent > 1);
  const [thumb, actions, bar, fill] = await Promise.all([".thumb", ".actions", ".bar", ".fill"].map((name) => item.locator(name).boundingBox()));
  assert.ok(thumb.x > actions.x, "the picture is on the right of the buttons");
  assert.ok(Math.abs(fill.x + fill.width - (bar.x + bar.width)) < 1, "progress grows from the right");
  await shoot(page, "element-rtl");
});

test("who_wants_no_motion_gets_none", async (t) => {
  const { page, letGo } = await open(t, element(t, "documents"));
  letGo();
  await page.locator("putgate-upload .rules").filter({ hasText: "20 files" }).waitFor();
  await page.setInputFiles("putgate-upload input", text("words.txt"));
  await page.locator("putgate-upload .item").waitFor();
  const moving = () => page.evaluate(() => [...document.querySelector("putgate-upload").shadowRoot.querySelectorAll("*")]
    .filter((part) => parseFloat(getComputedStyle(part).transitionDuration) > 0 || getComputedStyle(part).animationName !== "none").length);
  await page.emulateMedia({ reducedMotion: "no-preference" });
  assert.ok((await moving()) > 0);
  await page.emulateMedia({ reducedMotion: "reduce" });
  assert.equal(await moving(), 0);
});

test("a_page_styles_the_elements_parts_and_properties", async (t) => {
  const style = "<style>putgate-upload { --putgate-accent: rgb(1, 2, 3) } putgate-upload::part(drop) { border-style: solid }</style>";
  const { page, letGo } = await open(t, style + element(t, "documents"));
  letGo();
  const look = (selector, property) => page.locator(`putgate-upload ${selector}`).evaluate((part, property) => getComputedStyle(part)[property], property);
  assert.equal(await look(".choose", "backgroundColor"), "rgb(1, 2, 3)");
  assert.equal(await look(".drop", "borderTopStyle"), "solid");
});

/** A page with nothing on it but this. The first answer about a slot waits until `letGo`, which may give another. */
async function open(t, body) {
  const path = `/${owner(t)}`;
  pages[path] = `<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title>
    <meta name="viewport" content="width=device-width">
    <script type="module" src="/client/putgate-upload.js"></script>
    <script>
      addEventListener("submit", (event) => {
        event.preventDefault();
        window.sent = new FormData(event.target).getAll("it");
      });
    </script><main>${body}</main>`;
  let letGo, asked;
  const held = new Promise((resolve) => (letGo = resolve));
  let first = true;
  const arrange = async (page) => {
    await page.route("**/v1/slots/*", async (route) => {
      const other = first ? ((first = false), await held) : null;
      await (other ? route.fulfill({ ...other, headers: { "access-control-allow-origin": site.origin } }) : route.continue());
    });
    asked = page.waitForRequest("**/v1/slots/*");
  };
  const visitor = await visit(t, site.browser, site.origin + path, { arrange });
  await asked;
  return { ...visitor, letGo };
}

const tokens = (t) => `/token?sub=${owner(t)}`;

function element(t, slot, more = "") {
  return `<form><putgate-upload class="zone" upload-slot="${slot}" name="it" endpoint="${site.url}" token-url="${tokens(t)}" ${more}></putgate-upload>
    <button>Save</button></form>`;
}

function binding(t) {
  return `<form data-putgate-endpoint="${site.url}" data-putgate-token-url="${tokens(t)}">
    <div class="zone" data-putgate-drop="avatar"><input type="file" name="it" data-putgate-upload="avatar" required></div>
    <div data-putgate-preview="avatar"></div><button>Save</button></form>`;
}

function png(name) {
  return { name, mimeType: "image/png", buffer: picture(64, 64, [24, 120, 160]) };
}

function text(name) {
  return { name, mimeType: "text/plain", buffer: Buffer.from(`the words of ${name}\n`) };
}
