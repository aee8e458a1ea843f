// What a visitor of a page does, and what the tests see of it.
import assert from "node:assert/strict";
import { join } from "node:path";
import { LOGS } from "./broker.mjs";

const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 390, height: 844 };
/** The machine may be busy; a test that hangs is told apart by its deadline all the same. */
export const PATIENCE = 30_000;

/** A page in a context of its own; fails the test on any error the console shows, but for a `broken` network's and what is `said` on purpose. */
export async function visit(t, browser, url, { broken = false, said = /$^/ } = {}) {
  const context = await browser.newContext({ viewport: WIDE });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  const puts = [];
  const calls = [];
  page.on("console", (message) => {
    // Chromium writes a line for every 4xx that the page asked for and handles.
    const handled = /the server responded with a status of 4\d\d/.test(message.text())
      || said.test(message.text())
      || (broken && /Failed to load resource: net::|blocked by CORS policy/.test(message.text()));
    if (["error", "warning"].includes(message.type()) && !handled) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (request.method() === "PUT") puts.push(request.url());
    const { pathname } = new URL(request.url());
    if (pathname.startsWith("/v1/")) calls.push(`${request.method()} ${pathname}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  const network = await context.newCDPSession(page);
  await network.send("Network.enable");
  /** Bytes a second towards the network; -1: all there is. */
  const throttle = (uploadThroughput) =>
    network.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
  await page.goto(url);
  return { context, page, puts, calls, throttle };
}

/** The owner of a test's own. */
export const owner = (t) => encodeURIComponent(t.name.slice(0, 60));

/** A `DataTransfer` in the page with these files: `{name, mimeType, buffer}`, or `size` zeros. */
export function transferOf(page, files) {
  const given = files.map(({ name, mimeType, buffer, size }) => [name, mimeType, buffer?.toString("base64") ?? size]);
  return page.evaluateHandle((given) => {
    const transfer = new DataTransfer();
    for (const [name, type, content] of given) {
      const bytes = typeof content === "number" ? new Uint8Array(content) : Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
      transfer.items.add(new File([bytes], name, { type }));
    }
    return transfer;
  }, given);
}

/** Drags files over an element and lets them go. */
export async function drop(page, selector, files, { hover = async () => {} } = {}) {
  const dataTransfer = await transferOf(page, files);
  await page.dispatchEvent(selector, "dragenter", { dataTransfer });
  await page.dispatchEvent(selector, "dragover", { dataTransfer });
  await hover();
  await page.dispatchEvent(selector, "drop", { dataTransfer });
}

/** Drops real files or folders of this machine on an element, as the operating system would. */
export async function dropPaths(page, selector, paths) {
  const box = await page.locator(selector).first().boundingBox();
  const [x, y] = [Math.round(box.x + box.width / 2), Math.round(box.y + Math.min(box.height, 60) / 2)];
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    await session.send("Input.dispatchDragEvent", { type, x, y, data });
  }
  await session.detach();
}

/** Pastes files where the focus is. */
export async function paste(page, selector, files) {
  const clipboardData = await transferOf(page, files);
  await page.locator(selector).evaluate((place, clipboardData) => {
    place.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, composed: true, cancelable: true }));
  }, clipboardData);
}

/** Pictures of the page as it is, wide and narrow, light and dark; also: nothing is wider than the screen. */
export async function shoot(page, name) {
  for (const [width, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.screenshot({ path: join(LOGS, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${name} ${width}: ${overflow} px too wide`);
  }
  await page.setViewportSize(WIDE);
  await page.emulateMedia({ colorScheme: "light" });
}
