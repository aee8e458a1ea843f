// Uppy, unmodified from npm, 5.1.0 and 6.3.1 of its S3 uploader, on a page of another origin: what its users do.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { picture } from "./pictures.mjs";
import { keys, multiparts } from "./s3.mjs";
import { startSite, tokenFor } from "./site.mjs";
import { PATIENCE, visit } from "./visitor.mjs";

const MIB = 1024 * 1024;
const SLOTS = `
[slots.photos]
accept = ["image/*"]
max_file_size = "5MB"
max_entries = 50
dialects = ["uppy"]
[slots.films]
max_file_size = "14MiB"
max_entries = 50
dialects = ["uppy"]
`;
const VERSIONS = [
  { name: "5.1.0", folder: "uppy/5", option: "endpoint" },
  { name: "6.3.1", folder: "uppy/6", option: "companionEndpoint" },
];

let site;
before(async () => {
  const page = '<!doctype html><html lang="en"><title>Uploads</title><link rel="icon" href="data:,"><p>Uploads</p></html>';
  site = await startSite("uppy", { slots: SLOTS, pages: { "/": page } });
  for (const version of VERSIONS) version.code = await bundle(version.folder);
});
after(async () => {
  await site?.audit();
  await site?.stop();
});

/** Uppy as the package has it, the verdict's step, and what a page writes around them, as one script. */
async function bundle(folder) {
  const at = (path) => fileURLToPath(new URL(path, import.meta.url));
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import Uppy from "@uppy/core";
        import AwsS3 from "@uppy/aws-s3";
        import { verdicts } from ${JSON.stringify(at("../../client-js/dist/uppy.js"))};
        window.begin = (options, judged) => {
          const uppy = new Uppy({ autoProceed: false });
          uppy.use(AwsS3, options);
          if (judged) verdicts(uppy);
          window.uppy = uppy;
          window.errors = {};
          uppy.on("upload-error", (file, error) => (window.errors[file.name] = error.message));
          return uppy;
        };
        // A file of these bytes and zeros up to its size.
        window.fill = (name, type, head, size) => {
          const bytes = new Uint8Array(size);
          bytes.set(Uint8Array.from(atob(head), (c) => c.charCodeAt(0)).subarray(0, size));
          return window.uppy.addFile({ name, type, data: new File([bytes], name, { type }), source: "test" });
        };`,
      resolveDir: at(folder),
    },
    bundle: true,
    format: "iife",
    write: false,
  });
  return outputFiles[0].text;
}

/** A page with Uppy on it, for an owner of its own. */
async function open(t, version, { slot = "photos", slash = "", multipart = false, judged = true, more = {}, path = true } = {}) {
  const who = `${version.name} ${t.name}`.slice(0, 60);
  const token = tokenFor(who, 3600);
  const place = `${site.url}/u/${slot}/${path ? token : "-"}${slash}`;
  const options = { [version.option]: place, shouldUseMultipart: multipart, ...more };
  // The store refuses what is too large, and Uppy writes every refusal down.
  const { page } = await visit(t, site.browser, site.origin, { broken: true, said: /^\[Uppy\]/ });
  const begin = async () => {
    await page.addScriptTag({ content: version.code });
    await page.evaluate(([options, judged, token]) => {
      if (options.headers) options.headers = { authorization: `Bearer ${token}` };
      window.begin(options, judged);
    }, [options, judged, token]);
  };
  await begin();
  const api = async (path) => (await fetch(site.url + path, { headers: { authorization: `Bearer ${token}` } })).json();
  return {
    page, token, begin, api,
    add: (name, type, head, size = head.length) =>
      page.evaluate((given) => window.fill(...given), [name, type, Buffer.from(head).toString("base64"), size]),
    /** Until Uppy is done with all: what became of each. */
    upload: () => page.evaluate(async () => {
      const { successful, failed } = await window.uppy.upload();
      const view = ({ name, error, uploadURL, putgate }) => ({ name, error, uploadURL, putgate });
      return { successful: successful.map(view), failed: failed.map(view), errors: window.errors };
    }),
    start: () => page.evaluate(() => void (window.uploading = window.uppy.upload())),
    ended: () => page.evaluate(async () => (await window.uploading).successful.map(({ uploadURL }) => uploadURL)),
    parts: (count) => page.waitForFunction((count) => window.sent >= count, count, { timeout: PATIENCE }),
    countParts: () => page.evaluate(() => {
      window.sent = 0;
      window.uppy.on("s3-multipart:part-uploaded", () => (window.sent += 1));
    }),
    files: async () => (await api("/v1/files")).files,
    tickets: async () => (await api("/v1/tickets")).tickets,
  };
}

/** Until `look` answers something that holds. */
async function until(look, holds, what) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (holds(found)) return found;
    assert.ok(Date.now() < deadline, `${what}: ${JSON.stringify(found)}`);
    await wait(100);
  }
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const fetched = async (url) => Buffer.from(await (await fetch(url)).arrayBuffer());
const id = (place) => new URL(place).pathname.split("/").pop();
const film = Buffer.from("no picture at all");

/** Nothing of a ticket is left where browsers write. */
async function assertClean(ticket) {
  await until(() => keys(site.store, ticket), (found) => found.length === 0, "staging");
  await until(() => multiparts(site.store, ticket), (found) => found.length === 0, "unfinished uploads");
}

for (const version of VERSIONS) {
  const uppy = (name, body) => test(`${version.name}: ${name}`, (t) => body(t));

  uppy("a picture is committed under its own name", async (t) => {
    const { add, upload, files } = await open(t, version);
    const bytes = picture(40, 30, null);
    await add("Grüße 東京 #1.png", "image/png", bytes);
    const { successful, failed } = await upload();
    assert.deepEqual(failed, []);
    assert.equal(successful[0].putgate.state, "committed");
    const [file] = await files();
    assert.deepEqual([file.name, file.type, file.size], ["Grüße 東京 #1.png", "image/png", bytes.length]);
    assert.equal(file.id, id(successful[0].uploadURL));
    assert.equal(sha256(await fetched(file.url)), sha256(bytes));
    await assertClean(file.id);
  });

  uppy("without the plugin the worker finds what was sent", async (t) => {
    const { add, upload, files } = await open(t, version, { judged: false });
    await add("a.png", "image/png", picture(20, 20, null));
    const { successful } = await upload();
    assert.equal(successful.length, 1);
    const [file] = await until(files, (found) => found.length === 1, "the file");
    await assertClean(file.id);
  });

  uppy("twelve MiB go in three parts and are one file", async (t) => {
    const { add, upload, files, tickets } = await open(t, version, { slot: "films", multipart: true });
    const before = site.line.parts.length;
    await add("film.bin", "application/octet-stream", film, 12 * MIB);
    const { successful, failed } = await upload();
    assert.deepEqual(failed, []);
    const [file] = await files();
    assert.equal(file.size, 12 * MIB);
    assert.deepEqual(site.line.parts.slice(before).sort(), [1, 2, 3]);
    const whole = Buffer.alloc(12 * MIB);
    film.copy(whole);
    assert.equal(sha256(await fetched(successful[0].uploadURL)), sha256(whole), "the place it answers is the file");
    assert.deepEqual((await tickets()).map(({ state, size }) => [state, size]), [["committed", 12 * MIB]]);
    await assertClean(file.id);
  });

  uppy("a file of one byte goes in one part", async (t) => {
    const { add, upload, files } = await open(t, version, { slot: "films", multipart: true });
    await add("one.bin", "application/octet-stream", Buffer.from("x"));
    assert.equal((await upload()).successful.length, 1);
    assert.deepEqual((await files()).map(({ size }) => size), [1]);
  });

  uppy("many files are many files", async (t) => {
    const { add, upload, files } = await open(t, version);
    const names = Array.from({ length: 12 }, (_, n) => `${n}.png`);
    for (const [n, name] of names.entries()) await add(name, "image/png", picture(10 + n, 10, null));
    const { successful, failed } = await upload();
    assert.deepEqual([successful.length, failed], [12, []]);
    assert.deepEqual((await files()).map(({ name }) => name).sort(), [...names].sort());
  });

  uppy("an address with a slash at its end does as well", async (t) => {
    const { add, upload, files } = await open(t, version, { slot: "films", slash: "/", multipart: true });
    await add("a.bin", "application/octet-stream", film, 6 * MIB);
    assert.equal((await upload()).successful.length, 1);
    assert.deepEqual((await files()).map(({ size }) => size), [6 * MIB]);
  });

  uppy("a pause keeps what is sent, and the rest follows", async (t) => {
    const { page, add, start, ended, files, parts, countParts } = await open(t, version, { slot: "films", multipart: true, more: { limit: 1 } });
    await countParts();
    site.line.rate = 8 * MIB;
    t.after(() => (site.line.rate = Infinity));
    const before = site.line.parts.length;
    await add("film.bin", "application/octet-stream", film, 12 * MIB);
    await start();
    await parts(1);
    await page.evaluate(() => window.uppy.pauseAll());
    assert.equal(await page.evaluate(() => window.uppy.getFiles()[0].isPaused), true);
    await page.evaluate(() => window.uppy.resumeAll());
    site.line.rate = Infinity;
    const [place] = await ended();
    assert.deepEqual((await files()).map((file) => [file.id, file.size]), [[id(place), 12 * MIB]]);
    const sent = site.line.parts.slice(before);
    assert.equal(sent.filter((part) => part === 1).length, 1, `the first part went once: ${sent}`);
  });

  uppy("a cancelled upload leaves nothing", async (t) => {
    const { page, add, start, tickets, parts, countParts } = await open(t, version, { slot: "films", multipart: true, more: { limit: 1 } });
    await countParts();
    site.line.rate = 8 * MIB;
    t.after(() => (site.line.rate = Infinity));
    await add("film.bin", "application/octet-stream", film, 12 * MIB);
    await start();
    await parts(1);
    await page.evaluate(() => window.uppy.cancelAll());
    const [ticket] = await until(tickets, ([ticket]) => ticket?.state === "cancelled", "the ticket");
    site.line.rate = Infinity;
    await assertClean(ticket.id);
  });

  uppy("an upload that is restored after a reload goes on where it was", async (t) => {
    const { page, begin, add, start, upload, files, parts, countParts } = await open(t, version, { slot: "films", multipart: true, more: { limit: 1 } });
    await countParts();
    site.line.rate = 8 * MIB;
    t.after(() => (site.line.rate = Infinity));
    const before = site.line.parts.length;
    await add("film.bin", "application/octet-stream", film, 12 * MIB);
    await start();
    await parts(1);
    // What Golden Retriever keeps.
    const kept = await page.evaluate(() => window.uppy.getFiles()[0].s3Multipart);
    assert.ok(kept.uploadId && kept.key);
    await page.reload();
    site.line.rate = Infinity;
    await begin();
    await add("film.bin", "application/octet-stream", film, 12 * MIB);
    await page.evaluate((kept) => window.uppy.setFileState(window.uppy.getFiles()[0].id, { s3Multipart: kept }), kept);
    const { successful, failed } = await upload();
    assert.deepEqual([successful.length, failed], [1, []]);
    assert.deepEqual((await files()).map((file) => [file.id, file.size]), [[kept.key, 12 * MIB]]);
    const sent = site.line.parts.slice(before);
    assert.equal(sent.filter((part) => part === 1).length, 1, `the first part went once: ${sent}`);
  });

  uppy("what the slot does not take is refused in words", async (t) => {
    const { add, upload, tickets } = await open(t, version);
    await add("a.pdf", "application/pdf", Buffer.from("%PDF-1.7"));
    const { failed, errors } = await upload();
    assert.deepEqual(failed.map(({ name }) => name), ["a.pdf"]);
    assert.match(errors["a.pdf"], /the slot takes image\/\*, not application\/pdf/);
    assert.deepEqual(await tickets(), []);
  });

  uppy("a single file that is too large is refused by the store", async (t) => {
    const { add, upload, files, tickets } = await open(t, version, { judged: false });
    await add("a.png", "image/png", picture(20, 20, null), 5_000_001);
    const { failed } = await upload();
    assert.equal(failed.length, 1);
    for (const ticket of await tickets()) await assertClean(ticket.id);
    assert.deepEqual(await files(), []);
  });

  uppy("parts that come to too much are refused and removed", async (t) => {
    const { add, upload, files, tickets } = await open(t, version, { slot: "films", multipart: true });
    await add("film.bin", "application/octet-stream", film, 20 * MIB);
    const { failed, errors } = await upload();
    assert.equal(failed.length, 1);
    assert.match(errors["film.bin"], /the slot takes 14680064/);
    const [ticket] = await until(tickets, ([ticket]) => ticket.state !== "open", "the ticket");
    assert.equal(ticket.state === "rejected" || ticket.state === "cancelled", true, ticket.state);
    await assertClean(ticket.id);
    assert.deepEqual(await files(), []);
  });

  uppy("a page that calls itself a picture is rejected", async (t) => {
    const { add, upload, files, tickets } = await open(t, version);
    await add("holiday.png", "image/png", Buffer.from("<!doctype html><html><script>alert(1)</script></html>"));
    const { successful, failed, errors } = await upload();
    assert.deepEqual([successful, failed.length], [[], 1]);
    assert.match(errors["holiday.png"], /text\/html/);
    const [ticket] = await tickets();
    assert.deepEqual([ticket.state, ticket.problem.code], ["rejected", "content-rejected"]);
    await assertClean(ticket.id);
    assert.deepEqual(await files(), []);
  });

  uppy("a size that the app tells is signed, and the room it takes is its own", async (t) => {
    const { page, add, upload, files } = await open(t, version, { slot: "films", multipart: true });
    await add("film.bin", "application/octet-stream", film, 6 * MIB);
    await page.evaluate(() => window.uppy.getFiles().forEach((file) => window.uppy.setFileMeta(file.id, { size: file.size, album: "7" })));
    assert.equal((await upload()).successful.length, 1);
    assert.deepEqual((await files()).map(({ size, metadata }) => [size, metadata]), [[6 * MIB, { album: "7" }]]);
  });
}

test("5.1.0: a token in a header is as good as one in the address", async (t) => {
  const { add, upload, files } = await open(t, VERSIONS[0], { path: false, more: { headers: {} } });
  await add("a.png", "image/png", picture(20, 20, null));
  const { successful } = await upload();
  assert.equal(successful[0].putgate.state, "committed");
  assert.equal((await files()).length, 1);
});
