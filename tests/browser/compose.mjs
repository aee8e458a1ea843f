// A visitor of the demo page: a picture, a web page that calls itself one, and a file in parts.
//
//   node compose.mjs PAGE STORE        exits with 0 when all went as it should; the two origins
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chromium } from "playwright-core";

const [page_url, store_url] = process.argv.slice(2);
const PATIENCE = 30_000;
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const puts = [], preflights = [];
  page.on("request", (request) => {
    if (request.method() === "PUT") puts.push(new URL(request.url()));
  });
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  session.on("Network.requestWillBeSent", ({ request }) => {
    if (request.method === "OPTIONS") preflights.push(request.url);
  });
  const sub = `visitor-${randomBytes(4).toString("hex")}`;

  const file = (name, mimeType, buffer) => ({ name, mimeType, buffer });
  await page.goto(`${page_url}/?sub=${sub}`);
  await page.setInputFiles("#file", file("pixel.png", "image/png", Buffer.from(PIXEL, "base64")));
  await state(row(page, "pixel.png"), "committed");
  console.log("first upload committed");
  await page.setInputFiles("#file", file("liar.png", "image/png", Buffer.from("<!doctype html><script>alert(1)</script>")));
  await state(row(page, "liar.png"), "rejected");
  await page.locator(".gallery-item").first().waitFor();
  // The picture in the gallery comes by a presigned GET.
  await page.waitForFunction(() => {
    const picture = document.querySelector(".gallery-item img");
    return picture?.complete && picture.naturalWidth > 0;
  });
  await page.goto(`${page_url}/big?sub=${sub}`);
  await page.setInputFiles("#file", file("parts.bin", "application/octet-stream", randomBytes((8 << 20) + 1000)));
  await state(page.locator("#now"), "committed");

  assert.deepEqual([...new Set(puts.map((url) => url.origin))], [store_url], "bytes go to the store");
  assert.deepEqual(puts.slice(2).map((url) => url.searchParams.get("partNumber")).sort(), ["1", "2"]);
  assert.equal(preflights.length > 0, page_url !== store_url, `one origin needs no CORS: ${preflights}`);
  console.log(`${sub}: a picture, a liar and a file in parts went as they should`);
} finally {
  await browser.close();
}

function row(page, name) {
  return page.locator(".upload-row").filter({ hasText: name });
}

async function state(element, wanted) {
  try {
    // The dialog closes by itself when all is well.
    await element.and(element.page().locator(`[data-state="${wanted}"]`)).waitFor({ state: "attached" });
  } catch (error) {
    throw new Error(`not ${wanted}: ${await element.innerText().catch(() => "nothing")}`, { cause: error });
  }
}
