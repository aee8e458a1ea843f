// Files of the size that the promise is about: one in parts in parallel, one on a line that is cut, and one for which
// the browser needs no memory. Not part of `node --test`: minutes, and 8 GB of disk. The stage `bigfile` runs it.
import assert from "node:assert/strict";
import { mkdtemp, open as openFile, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { start } from "./broker.mjs";
import { startSite } from "./site.mjs";
import { owner, visit } from "./visitor.mjs";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** What the renderer may grow by, whatever the file's size: buffers of some requests and a busy garbage collector. */
const GROWTH = 160 * MIB;
const HEAP = 16 * MIB;
const HOUR = 3_600_000;
const PART = 8 * MIB;

let urls, browser, stop, dir;
before(async () => {
  ({ urls, browser, stop } = await start("bigfile"));
  dir = await mkdtemp(join(tmpdir(), "putgate-bigfile-"));
});
after(async () => {
  await stop?.();
  await rm(dir, { recursive: true, force: true });
});

test("a_gibibyte_goes_in_parts_in_parallel", async (t) => {
  const { page } = await open(t);
  let under = 0;
  let most = 0;
  page.on("request", (request) => {
    if (request.method() === "PUT") most = Math.max(most, (under += 1));
  });
  for (const end of ["requestfinished", "requestfailed"]) {
    page.on(end, (request) => {
      if (request.method() === "PUT") under -= 1;
    });
  }
  const began = performance.now();
  await page.setInputFiles("#file", await sparse(GIB));
  await committed(page);
  t.diagnostic(`${(GIB / MIB / ((performance.now() - began) / 1000)).toFixed(1)} MiB/s with the verdict, up to ${most} requests at a time`);
  assert.ok(most >= 2, `${most} at a time`);
  assert.match(await page.locator(".gallery-item").innerText(), /1\.1 GB/);
});

test("the_memory_of_the_browser_does_not_grow_with_the_file", async (t) => {
  const { page } = await open(t);
  const gauge = await Gauge.of(page);
  // The first file brings all code and every buffer into place.
  await page.setInputFiles("#file", await sparse(64 * MIB));
  await committed(page);
  const before = await gauge.read();
  await page.setInputFiles("#file", await sparse(2 * GIB));
  await page.locator("#now[data-state=uploading]").waitFor();
  const peak = { rss: 0, heap: 0 };
  for (let percent = 5; percent <= 95; percent += 5) {
    await page.waitForFunction((least) => Number(document.querySelector("#total").getAttribute("aria-valuenow")) >= least, percent, { timeout: HOUR });
    const now = await gauge.read();
    for (const of of ["rss", "heap"]) peak[of] = Math.max(peak[of], now[of]);
  }
  await committed(page);
  const grown = { rss: peak.rss - before.rss, heap: peak.heap - before.heap };
  const mib = (bytes) => (bytes / MIB).toFixed(1);
  t.diagnostic(`renderer ${mib(before.rss)} MiB before, ${mib(peak.rss)} at its peak; JavaScript heap ${mib(before.heap)} and ${mib(peak.heap)}`);
  assert.ok(grown.rss < GROWTH, `the renderer grew by ${mib(grown.rss)} MiB`);
  assert.ok(grown.heap < HEAP, `the heap grew by ${mib(grown.heap)} MiB`);
});

test("a_gibibyte_on_a_line_that_is_cut_for_20_seconds_sends_again_what_was_on_the_wire", async (t) => {
  const slots = '[slots.big]\nmax_file_size = "10GB"\npart_size = "8MiB"';
  const page_of_ours = '<!doctype html><html lang="en"><title>A page</title><label>A file <input type="file" id="file"></label>';
  const site = await startSite("bigfile-cut", { slots, pages: { "/": page_of_ours } });
  t.after(() => site.stop());
  const { page } = await visit(t, site.browser, `${site.origin}/`, { broken: true });
  await page.setInputFiles("#file", await sparse(GIB));
  await page.evaluate(async ([endpoint, who]) => {
    const { createClient } = await import("/client/putgate-client.js");
    const token = async () => (await (await fetch(`/token?sub=${who}`)).json()).token;
    const [file] = document.getElementById("file").files;
    window.upload = createClient({ endpoint, token }).upload(file, { slot: "big" });
  }, [site.url, owner(t)]);
  const percent = (least) => page.waitForFunction((least) => window.upload.progress.percent >= least, least, { timeout: HOUR });
  await percent(30);
  const under = site.line.parts.length;
  await site.line.cut(20_000);
  const { state, error } = await page.evaluate(() => ({ state: window.upload.state, error: window.upload.error?.code }));
  assert.equal(state, "uploading", error);
  const file = await page.evaluate(() => window.upload.done.catch(({ code, detail }) => Promise.reject(new Error(`${code}: ${detail}`))));
  assert.equal(file.size, GIB);
  const count = GIB / PART;
  const { parts } = site.line;
  t.diagnostic(`cut after ${under} of ${count} requests; ${parts.length} in all`);
  assert.equal(new Set(parts).size, count);
  // No more are ever on the wire.
  assert.ok(parts.length <= count + 5, `${parts.length} requests for ${count} parts`);
});

/** A file of zeros that takes no room on this disk. */
async function sparse(size) {
  const path = join(dir, `sparse-${size}.bin`);
  const file = await openFile(path, "w");
  await file.truncate(size);
  await file.close();
  return path;
}

function committed(page) {
  return page.locator("#now[data-state=committed]").waitFor({ timeout: HOUR });
}

async function open(t) {
  const visitor = await visit(t, browser, `${urls.url}/big?sub=${owner(t)}`);
  await visitor.page.locator("#usage:not(:empty)").waitFor();
  return visitor;
}

/** What a page's process takes: its resident memory, and its JavaScript heap after a collection. */
class Gauge {
  static async of(page) {
    const gauge = new Gauge();
    const root = await page.context().browser().newBrowserCDPSession();
    const { processInfo } = await root.send("SystemInfo.getProcessInfo");
    gauge.renderers = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
    gauge.session = await page.context().newCDPSession(page);
    return gauge;
  }

  async read() {
    await this.session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await this.session.send("Runtime.getHeapUsage");
    const sizes = await Promise.all(this.renderers.map(residentOf));
    return { heap: usedSize, rss: Math.max(...sizes) };
  }
}

/** Bytes; 0 for a process that has gone. */
async function residentOf(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}
