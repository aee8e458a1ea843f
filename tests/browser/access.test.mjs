// Everybody's pages: axe-core finds nothing, and a keyboard alone does everything.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { start } from "./broker.mjs";
import { picture } from "./pictures.mjs";
import { owner, visit } from "./visitor.mjs";

const AXE = await readFile(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
/** Bytes a second at which nothing ends while a test looks at it. */
const CRAWL = 20_000;
const LIAR = Buffer.from("<!doctype html><p>not what its name says");

let urls, browser, stop;
before(async () => ({ urls, browser, stop } = await start("access")));
after(() => stop?.());

test("axe_finds_nothing_on_the_photos", async (t) => {
  const { page, throttle } = await open(t, "/");
  await checked(page, "empty");
  await throttle(CRAWL);
  await page.setInputFiles("#file", [png("slow.png", picture(500, 500, null)), png("x.png", LIAR), png("a.png", picture(64, 64, [24, 120, 160]))]);
  await page.locator('.upload-row[data-state="rejected"]').waitFor();
  await checked(page, "progress");
  await throttle(-1);
  await page.click("#close");
  await page.locator(".gallery-item").nth(1).waitFor();
  await checked(page, "gallery");
});

test("axe_finds_nothing_on_the_avatar", async (t) => {
  const { page } = await open(t, "/avatar");
  await page.locator("#rules").filter({ hasText: "5 MB" }).waitFor();
  await checked(page, "empty");
  await page.setInputFiles("#avatar", png("x.png", LIAR));
  await page.getByRole("button", { name: "Save avatar" }).click();
  await page.locator("#refusal").waitFor();
  await checked(page, "refused");
  await page.setInputFiles("#avatar", png("a.png", picture(64, 64, [24, 120, 160])));
  await checked(page, "preview");
  await page.getByRole("button", { name: "Save avatar" }).click();
  await page.locator("#saved").waitFor();
  await checked(page, "saved");
});

test("axe_finds_nothing_on_the_documents", async (t) => {
  const { page, throttle } = await open(t, "/documents");
  await checked(page, "empty");
  await throttle(CRAWL);
  await page.setInputFiles("#upload input", [text("a.txt", "plain words\n"), text("x.txt", LIAR), text("slow.txt", "slow words\n".repeat(100_000))]);
  await page.locator('#upload .item[data-state="rejected"]').waitFor();
  await checked(page, "list");
  await page.locator("#upload").getByRole("button", { name: "Cancel: slow.txt" }).click();
  await page.locator('#upload .item[data-state="cancelled"]').waitFor();
  await checked(page, "cancelled");
});

test("axe_finds_nothing_on_the_big_file", async (t) => {
  const { page, throttle } = await open(t, "/big");
  await checked(page, "empty");
  await throttle(CRAWL);
  await page.setInputFiles("#file", { name: "film.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(20_000_000, 7) });
  await page.locator("#now[data-state=uploading]").waitFor();
  await checked(page, "uploading");
  await page.click("#pause");
  await checked(page, "paused");
  await page.click("#cancel");
  await page.locator("#retry").waitFor();
  await checked(page, "cancelled");
});

test("a_keyboard_alone_picks_cancels_retries_and_removes_documents", async (t) => {
  const { page, throttle } = await open(t, "/documents");
  await page.locator("[aria-current=page]").focus();
  await tabTo(page, "file");
  await throttle(CRAWL);
  await choose(page, text("words.txt", "plain words\n".repeat(100_000)));
  const row = page.locator("#upload .item");
  await row.and(page.locator('[data-state="uploading"]')).waitFor();
  await tabTo(page, "Pause: words.txt");
  await page.keyboard.press("Enter");
  await row.filter({ hasText: "Paused" }).waitFor();
  // The button that took the pressed one's place has its focus.
  assert.equal(await focused(page), "Resume: words.txt");
  await page.keyboard.press("Enter");
  await row.and(page.locator('[data-state="uploading"]')).waitFor();
  await tabTo(page, "Cancel: words.txt");
  await page.keyboard.press("Space");
  await row.and(page.locator('[data-state="cancelled"]')).waitFor();
  assert.equal(await focused(page), "Try again: words.txt");
  await throttle(-1);
  await page.keyboard.press("Enter");
  await row.and(page.locator('[data-state="committed"]')).waitFor();
  assert.equal(await focused(page), "Remove: words.txt");
  await page.keyboard.press("Enter");
  await row.waitFor({ state: "detached" });
  assert.equal(await focused(page), "file");
  await page.locator(".gallery-item").waitFor();
  await tabTo(page, "Delete words.txt");
  await page.keyboard.press("Enter");
  await page.locator("#empty").waitFor();
});

test("a_keyboard_alone_sends_photos_and_the_dialog_keeps_the_focus", async (t) => {
  const { page, throttle } = await open(t, "/");
  await page.locator("[aria-current=page]").focus();
  await tabTo(page, "file");
  await throttle(CRAWL);
  await choose(page, png("slow.png", picture(400, 400, null)));
  await page.locator("#progress[open]").waitFor();
  // Not on a button: who just pressed Space would cancel with the next.
  assert.equal(await focused(page), "progress-title");
  await tabTo(page, "cancel-all");
  await page.keyboard.press("Enter");
  await page.locator("#close").waitFor();
  await tabTo(page, "close");
  await page.keyboard.press("Enter");
  // The dialog says that it is closed with the browser's next frame.
  await page.waitForFunction(() => document.activeElement.id === "file");
});

test("whatever_can_be_pressed_is_24_pixels_high_and_wide", async (t) => {
  for (const [path, fill] of [
    ["/", async (page) => {
      await page.setInputFiles("#file", png("a.png", picture(64, 64, [24, 120, 160])));
      await page.locator(".gallery-item").waitFor();
    }],
    ["/avatar", async (page) => {
      await page.setInputFiles("#avatar", png("a.png", picture(64, 64, [24, 120, 160])));
      await page.locator(".upload-preview").waitFor();
    }],
    ["/documents", async (page) => {
      await page.setInputFiles("#upload input", [text("a.txt", "one\n"), text("b.txt", "two\n")]);
      await page.locator(".gallery-item").nth(1).waitFor();
    }],
    ["/big", async (page) => {
      await page.setInputFiles("#file", text("a.txt", "one\n"));
      await page.locator(".gallery-item").waitFor();
    }],
  ]) {
    const { page } = await open(t, path);
    await fill(page);
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 });
      const small = await page.evaluate(() => {
        const within = (root) => [...root.querySelectorAll("*")].flatMap((it) => [it, ...(it.shadowRoot ? within(it.shadowRoot) : [])]);
        // A field that its label stands for is clipped away, or lies in it.
        const pressed = (it) => it.matches("a[href], button, label, select, input:not(.file-input, .input, label *)") && it.checkVisibility();
        const sizes = within(document).filter(pressed).map((it) => [it.getBoundingClientRect(), it.textContent.trim()]);
        if (sizes.length < 5) throw new Error(`only ${sizes.length} targets`);
        return sizes.filter(([{ width, height }]) => Math.min(width, height) < 24).map(([{ width, height }, name]) => `${name}: ${width} × ${height}`);
      });
      assert.deepEqual(small, [], `${path} at ${width}`);
    }
  }
});

async function open(t, path) {
  const visitor = await visit(t, browser, `${urls.url}${path}?sub=${owner(t)}`);
  await visitor.page.locator("#usage:not(:empty), #rules:not(:empty)").first().waitFor();
  // Before the slot is known the field takes one file, as any field does.
  if (path === "/documents") await visitor.page.locator("#upload .rules").filter({ hasText: "20 files" }).waitFor();
  return visitor;
}

/** Opens the dialog of the focused field by its key, and answers it. The first key may come before the browser hands dialogs to us. */
async function choose(page, files) {
  for (let left = 4; ; left -= 1) {
    const dialog = page.waitForEvent("filechooser", { timeout: 5_000 }).catch(() => null);
    await page.keyboard.press("Space");
    const chooser = await dialog;
    if (chooser !== null) return chooser.setFiles(files);
    assert.ok(left > 0, "no dialog opens");
  }
}

/** Runs axe in both colour schemes and on both widths. */
async function checked(page, state) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 });
      const violations = await run(page);
      assert.deepEqual(violations, [], `${state}, ${colorScheme}, ${width}`);
    }
  }
}

async function run(page) {
  // Through the debugger's door: the page's own policy lets no foreign script in.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join("; ")}`);
  });
}

/** Presses Tab until what has this id or this name has the focus. */
async function tabTo(page, wanted) {
  const seen = [];
  for (let i = 0; i < 40; i += 1) {
    await page.keyboard.press("Tab");
    const here = await focused(page);
    if (here === wanted) return;
    seen.push(here);
  }
  assert.fail(`${wanted} is not among ${seen}`);
}

function focused(page) {
  return page.evaluate(() => {
    let element = document.activeElement;
    while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element.getAttribute("aria-label") ?? (element.id || element.textContent.trim());
  });
}

function png(name, buffer) {
  return { name, mimeType: "image/png", buffer };
}

function text(name, content) {
  return { name, mimeType: "text/plain", buffer: Buffer.from(content) };
}
