// A visitor of the demo page: a picture, a web page that calls itself one, and a file in parts.
//
//   node compose.mjs PAGE STORE        exits with 0 when all went as it should; the two origins
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { launch } from "./broker.mjs";

const [page_url, store_url] = process.argv.slice(2);
const PATIENCE = 30_000;
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const browser = await launch();
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
  await open(page, "/", sub);
  await page.setInputFiles("#file", file("pixel.png", "image/png", Buffer.from(PIXEL, "base64")));
  await page.locator(".gallery-item").first().waitFor();
  console.log("first upload committed");
  // The picture in the gallery comes by a presigned GET.
  await page.waitForFunction(() => document.querySelector(".gallery-item img")?.naturalWidth > 0);
  await page.setInputFiles("#file", file("liar.png", "image/png", Buffer.from("<!doctype html><script>alert(1)</script>")));
  await page.locator('.upload-row[data-state="rejected"]', { hasText: "liar.png" }).waitFor();
  await open(page, "/big", sub);
  await page.setInputFiles("#file", file("parts.bin", "application/octet-stream", randomBytes((8 << 20) + 1000)));
  await page.locator("#now[data-state=committed]").waitFor();

  assert.deepEqual([...new Set(puts.map((url) => url.origin))], [store_url], "bytes go to the store");
  assert.deepEqual(puts.slice(2).map((url) => url.searchParams.get("partNumber")).sort(), ["1", "2"]);
  assert.equal(preflights.length > 0, page_url !== store_url, `one origin needs no CORS: ${preflights}`);
  console.log(`${sub}: a picture, a liar and a file in parts went as they should`);
} finally {
  await browser.close();
}

async function open(page, path, sub) {
  await page.goto(`${page_url}${path}?sub=${sub}`);
  await page.locator("#usage:not(:empty)").waitFor();
}
