// A page of another origin that has data attributes and no script: the avatar page that template frameworks teach.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { picture } from "./pictures.mjs";
import { startSite } from "./site.mjs";
import { drop, owner, shoot, visit } from "./visitor.mjs";

const SLOTS = `
[slots.avatar]
accept = [".jpg", ".png", ".webp"]
max_file_size = "5MB"
max_entries = 1
on_full = "replace"
[slots.gallery]
accept = ["image/*"]
max_entries = 4
`;
const pages = {};

let site;
before(async () => {
  site = await startSite("attributes", { slots: SLOTS, pages });
});
after(() => site?.stop());

/** Nothing but attributes; the style is the page's own business. */
function avatar(url, who, more = "") {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Your avatar</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body { font: 1rem/1.5 sans-serif; max-width: 36rem; margin: 2rem auto; padding: 0 1rem; }
  .zone { border: 2px dashed #999; border-radius: 8px; padding: 2rem; text-align: center; }
  .zone.upload-dragover { border-color: #2563eb; background: #eff6ff; }
  .zone label { cursor: pointer; text-decoration: underline; }
  .upload-preview { display: flex; gap: 1rem; align-items: center; margin: 1rem 0; }
  .upload-preview-image { width: 6rem; height: 6rem; object-fit: cover; border-radius: 50%; }
  progress { width: 100%; }
  .upload-progress-bar { height: .5rem; background: #2563eb; }
</style>
<script type="module" src="/client/putgate-upload.js"></script></head><body>
<h1>Your avatar</h1>
<form method="post" action="/save" data-putgate-endpoint="${url}" data-putgate-token-url="/token?sub=${who}">
  <div class="zone" data-putgate-upload-drop="avatar">
    <label>Choose a picture or drop it here
      <input type="file" name="avatar" data-putgate-upload="avatar" hidden ${more}></label>
  </div>
  <div data-putgate-upload-preview="avatar"></div>
  <progress data-putgate-upload-progress="avatar" max="100" value="0" aria-label="Upload"></progress>
  <div id="bar" data-putgate-upload-progress="avatar"></div>
  <button>Save</button>
</form></body></html>`;
}

test("the_tutorials_avatar_page_works_with_attributes_alone", async (t) => {
  const { page, throttle, calls } = await open(t, avatar(site.url, owner(t)));
  await page.locator("input[type=file][accept*='.png']").waitFor({ state: "attached" });
  assert.equal(await page.locator("input[type=file]").evaluate((input) => input.multiple), false);
  await throttle(400_000);
  await drop(page, ".zone", [{ name: "me.png", mimeType: "image/png", buffer: picture(600, 500, null) }], {
    hover: () => page.locator(".zone.upload-dragover").waitFor(),
  });
  assert.equal(await page.locator(".upload-dragover").count(), 0);
  await page.locator(".upload-preview img.upload-preview-image").waitFor();
  await page.waitForFunction(() => document.querySelector("progress").value > 5);
  await page.locator("#bar .upload-progress-bar[role=progressbar]").waitFor();
  await shoot(page, "attributes");
  // Submitted before it is done: the form waits, and then sends the id.
  await page.evaluate(() => document.querySelector("button:not([type])").click());
  await throttle(-1);
  await page.locator("#got").waitFor();
  const sent = new URLSearchParams(await page.locator("#got").innerText());
  assert.deepEqual([...sent.keys()], ["avatar"]);
  assert.match(sent.get("avatar"), /^[0-9a-f-]{36}$/);
  assert.equal(calls.filter((call) => call === "POST /v1/tickets").length, 1);
});

test("every_step_is_an_event_in_the_tutorials_shape_and_the_last_one_is_complete_at_100", async (t) => {
  const { page } = await open(t, avatar(site.url, owner(t)));
  await page.locator("input[type=file][accept*='.png']").waitFor({ state: "attached" });
  await listen(page);
  await page.setInputFiles("input[type=file]", { name: "me.png", mimeType: "image/png", buffer: picture(60, 50, null) });
  await page.waitForFunction(() => window.heard.some(({ status }) => status === "complete"));
  const heard = await page.evaluate(() => window.heard);
  assert.deepEqual([...new Set(heard.map(({ uploadName }) => uploadName))], ["avatar"]);
  assert.equal(new Set(heard.map(({ ref }) => ref)).size, 1);
  assert.deepEqual(heard.filter(({ status }) => status === "uploading").filter(({ progress }) => progress === 100), []);
  assert.equal(heard.at(-1).progress, 100);
  assert.equal(await page.locator("progress").evaluate((bar) => bar.value), 100);
  assert.equal(await page.locator("input[type=hidden][name=avatar]").count(), 1);
});

test("a_liar_and_a_cancel_are_events_too_and_no_id_goes_with_the_form", async (t) => {
  const { page, throttle } = await open(t, avatar(site.url, owner(t)));
  await page.locator("input[type=file][accept*='.png']").waitFor({ state: "attached" });
  await listen(page);
  await page.setInputFiles("input[type=file]", { name: "x.png", mimeType: "image/png", buffer: Buffer.from("<!doctype html><p>no picture</p>") });
  await page.waitForFunction(() => window.heard.some(({ status }) => status === "error"));
  await throttle(20_000);
  await page.setInputFiles("input[type=file]", { name: "slow.png", mimeType: "image/png", buffer: picture(600, 500, null) });
  // The card has its final size once its picture is there.
  await page.waitForFunction(() => document.querySelector(".upload-preview-image")?.naturalWidth > 0);
  await page.getByRole("button", { name: "Cancel: slow.png" }).click();
  await page.waitForFunction(() => window.heard.some(({ status }) => status === "cancelled"));
  await page.getByRole("button", { name: "Remove: slow.png" }).click();
  assert.equal(await page.locator(".upload-preview, input[type=hidden]").count(), 0);
});

test("a_button_stays_under_the_finger_whatever_the_words_beside_it_say", async (t) => {
  const { page, throttle } = await open(t, avatar(site.url, owner(t)));
  await page.locator("input[type=file][accept*='.png']").waitFor({ state: "attached" });
  await page.evaluate(() => {
    window.seen = [];
    const look = () => {
      const { left, top } = document.querySelector(".upload-preview-cancel")?.getBoundingClientRect() ?? {};
      const words = document.querySelector(".upload-preview-status")?.textContent;
      // The picture takes its place when it is there.
      if (document.querySelector(".upload-preview-image")?.naturalWidth > 0) window.seen.push({ left, top, words });
      requestAnimationFrame(look);
    };
    look();
  });
  await throttle(200_000);
  await page.setInputFiles("input[type=file]", { name: "me.png", mimeType: "image/png", buffer: picture(600, 500, null) });
  await page.locator('.upload-preview[data-upload-state="committed"]').waitFor();
  await page.waitForFunction(() => window.seen.at(-1).words === document.querySelector(".upload-preview-status").textContent);
  const seen = await page.evaluate(() => window.seen);
  assert.ok(new Set(seen.map(({ words }) => words)).size > 3, "the words changed");
  assert.deepEqual([...new Set(seen.map(({ left }) => left))], [seen[0].left]);
  assert.deepEqual([...new Set(seen.map(({ top }) => top))], [seen[0].top]);
});

test("with_auto_upload_off_the_bytes_go_when_the_form_is_submitted", async (t) => {
  const { page, puts } = await open(t, avatar(site.url, owner(t), 'data-putgate-auto-upload="false" required'));
  await page.locator("input[type=file][accept*='.png']").waitFor({ state: "attached" });
  await page.setInputFiles("input[type=file]", { name: "me.png", mimeType: "image/png", buffer: picture(60, 50, null) });
  await page.locator('.upload-preview[data-upload-state="waiting"]').waitFor();
  assert.equal(puts.length, 0);
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#got").waitFor();
  assert.match(await page.locator("#got").innerText(), /^avatar=[0-9a-f-]{36}$/);
  assert.equal(puts.length, 1);
});

test("a_token_that_is_refused_is_fetched_again", async (t) => {
  const before = site.tokens.issued;
  site.tokens.lives = [-60];
  const { page } = await open(t, avatar(site.url, owner(t)));
  await page.locator("input[type=file][accept*='.png']").waitFor({ state: "attached" });
  assert.equal(site.tokens.issued, before + 2);
  await page.setInputFiles("input[type=file]", { name: "me.png", mimeType: "image/png", buffer: picture(60, 50, null) });
  await page.locator('.upload-preview[data-upload-state="committed"]').waitFor();
  assert.equal(site.tokens.issued, before + 2);
});

async function listen(page) {
  await page.evaluate(() => {
    window.heard = [];
    document.addEventListener("putgate:upload:progress", ({ detail: { ref, progress, status, uploadName } }) => {
      window.heard.push({ ref, progress, status, uploadName });
    });
  });
}

async function open(t, body) {
  const path = `/${owner(t)}`;
  pages[path] = body;
  return visit(t, site.browser, site.origin + path);
}
