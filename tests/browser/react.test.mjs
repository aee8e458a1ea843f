// The hook under React's StrictMode in a real browser, and rendered on a server.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { start } from "./broker.mjs";

const PATIENCE = 30_000;
const HERE = fileURLToPath(new URL(".", import.meta.url));

const APP = `
  import { createElement as h, StrictMode, useState } from "react";
  import { createClient } from "putgate-client";
  import { useUpload } from "putgate-client/react";

  export function Photos({ client, slot, autoStart, onCommitted }) {
    const uploads = useUpload({ client, slot, autoStart, onCommitted });
    const { items, progress, start, cancel, remove, dragging, getInputProps, getDropProps } = uploads;
    return h("div", { id: "drop", className: dragging ? "over" : "", ...getDropProps() },
      h("input", { id: "file", ...getInputProps() }),
      h("progress", { id: "total", max: 100, value: progress.percent }),
      h("button", { id: "start", onClick: start }, "Start"),
      h("ul", null, items.map(({ id, name, state, waitingFor, error }) =>
        h("li", { key: id, "data-name": name, "data-state": state }, state + " " + waitingFor + " " + (error ? error.code : ""),
          h("button", { className: "cancel", onClick: () => cancel(id) }, "Cancel"),
          h("button", { className: "remove", onClick: () => remove(id) }, "Remove")))));
  }

  export function Page(props) {
    const [shown, show] = useState(true);
    const [slot, setSlot] = useState("photos");
    return h(StrictMode, null,
      h("button", { id: "toggle", onClick: () => show(!shown) }, "Toggle"),
      h("button", { id: "documents", onClick: () => setSlot("documents") }, "Documents"),
      shown && h(Photos, { slot, ...props }));
  }

  export { createClient, h };
`;

let urls, browser, stop, scratch;
before(async () => {
  ({ urls, browser, stop } = await start("react"));
  scratch = await mkdtemp(join(tmpdir(), "putgate-react-"));
});
after(async () => {
  await stop?.();
  await rm(scratch, { recursive: true, force: true });
});

/** The app with this last part, as one file. */
async function bundle(entry, options = {}) {
  const dist = join(HERE, "../../client-js/dist");
  const { outputFiles } = await build({
    stdin: { contents: APP + entry, resolveDir: HERE },
    alias: { "putgate-client": join(dist, "index.js"), "putgate-client/react": join(dist, "react.js") },
    nodePaths: [join(HERE, "node_modules")],
    bundle: true,
    write: false,
    format: "esm",
    logLevel: "error",
    ...options,
  });
  return outputFiles[0].text;
}

test("in_strict_mode_a_file_is_uploaded_once_and_told_once", async (t) => {
  const { page, mints } = await open(t);
  await page.setInputFiles("#file", { name: "a.png", mimeType: "image/png", buffer: PNG });
  await page.locator('li[data-name="a.png"][data-state="committed"]').waitFor();
  assert.deepEqual(await page.evaluate(() => window.committed), ["a.png"]);
  assert.equal(mints.length, 1);
  assert.equal(await page.locator("#total").evaluate((bar) => bar.value), 100);
});

test("the_input_takes_what_the_slot_takes", async (t) => {
  const { page } = await open(t);
  await page.locator('#file[accept="image/*"][multiple]').waitFor();
  await page.click("#documents");
  await page.locator('#file[accept^=".pdf"]').waitFor();
});

test("a_drop_uploads_and_the_zone_knows_of_the_drag", async (t) => {
  const { page } = await open(t);
  const data = await page.evaluateHandle((bytes) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
    return transfer;
  }, [...PNG]);
  await page.dispatchEvent("#drop", "dragenter", { dataTransfer: data });
  await page.locator("#drop.over").waitFor();
  await page.dispatchEvent("#drop", "drop", { dataTransfer: data });
  await page.locator('li[data-name="dropped.png"][data-state="committed"]').waitFor();
  assert.equal(await page.locator("#drop.over").count(), 0);
});

test("held_back_files_wait_for_start_and_can_be_taken_off", async (t) => {
  const { page, mints } = await open(t, { autoStart: false });
  const files = ["a.png", "b.png"].map((name) => ({ name, mimeType: "image/png", buffer: PNG }));
  await page.setInputFiles("#file", files);
  await page.locator("li", { hasText: "waiting start" }).nth(1).waitFor();
  await page.locator('li[data-name="b.png"] .remove').click();
  assert.equal(mints.length, 0);
  await page.click("#start");
  await page.locator('li[data-name="a.png"][data-state="committed"]').waitFor();
  assert.deepEqual([await page.locator("li").count(), mints.length], [1, 1]);
});

test("a_refusal_is_an_item_with_its_code", async (t) => {
  const { page, mints } = await open(t);
  await page.setInputFiles("#file", { name: "a.html", mimeType: "text/html", buffer: Buffer.from("<p>") });
  await page.locator('li[data-state="rejected"]', { hasText: "type-not-accepted" }).waitFor();
  assert.equal(mints.length, 0);
});

test("another_slot_is_another_list_and_a_component_that_goes_and_comes_back_begins_anew", async (t) => {
  const { page } = await open(t);
  await page.setInputFiles("#file", { name: "a.png", mimeType: "image/png", buffer: PNG });
  await page.locator('li[data-state="committed"]').waitFor();
  await page.click("#documents");
  await page.locator("li").waitFor({ state: "detached" });
  await page.click("#toggle");
  await page.click("#toggle");
  await page.setInputFiles("#file", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("plain words\n") });
  await page.locator('li[data-name="a.txt"][data-state="committed"]').waitFor();
});

test("a_server_renders_an_empty_list_and_needs_no_browser", async () => {
  const entry = `
    import { renderToString } from "react-dom/server";
    const client = createClient({ endpoint: "https://uploads.example.com", token: "none" });
    export const html = renderToString(h(Page, { client }));
  `;
  const require = `import { createRequire } from "node:module"; const require = createRequire(${JSON.stringify(import.meta.url)});`;
  const file = join(scratch, "server.mjs");
  await writeFile(file, await bundle(entry, { platform: "node", banner: { js: require } }));
  const { html } = await import(pathToFileURL(file));
  assert.match(html, /<ul><\/ul>/);
  assert.match(html, /type="file"/);
});

/** The app on an empty page of the broker's origin. */
async function open(t, { autoStart = true } = {}) {
  const context = await browser.newContext({ bypassCSP: true });
  await context.route("**/favicon.ico", (route) => route.fulfill({ status: 204 }));
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  const mints = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/v1/tickets")) mints.push(request.url());
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  await page.goto(`${urls.url}/demo/demo.css`);
  await page.setContent('<main id="app"></main>');
  const entry = `
    import { createRoot } from "react-dom/client";
    const client = createClient({
      endpoint: ${JSON.stringify(urls.api)},
      token: async () => (await (await fetch("/dev/token?scope=upload+read&sub=" + ${JSON.stringify(encodeURIComponent(t.name.slice(0, 60)))})).json()).token,
    });
    window.committed = [];
    const onCommitted = (file) => window.committed.push(file.name);
    createRoot(document.getElementById("app")).render(h(Page, { client, autoStart: ${autoStart}, onCommitted }));
  `;
  await page.addScriptTag({ type: "module", content: await bundle(entry, { define: { "process.env.NODE_ENV": '"development"' } }) });
  // The slot's policy is there.
  await page.locator("#file[multiple]").waitFor();
  return { page, mints };
}

/** One pixel. */
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
