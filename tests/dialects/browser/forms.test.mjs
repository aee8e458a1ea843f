// jQuery File Upload as it is published, filedrop's request, and a page without script, on pages of another origin.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { picture } from "../../browser/pictures.mjs";
import { keys, multiparts } from "../../browser/s3.mjs";
import { startSite, tokenFor } from "../../browser/site.mjs";
import { PATIENCE, owner, visit } from "../../browser/visitor.mjs";

const MIB = 1024 * 1024;
const HTML = Buffer.from("<!doctype html><script>alert(1)</script>");
const SLOTS = `
[slots.pictures]
accept = ["image/*"]
max_file_size = "6MiB"
max_entries = 20
dialects = ["form", "uppy"]
[slots.raw]
max_file_size = "40MiB"
max_entries = 20
part_size = "5MiB"
dialects = ["form"]
[slots.tutorial]
accept = ["image/*"]
max_entries = 20
dialects = ["form"]
form_answer = "is_valid"
[slots.drop]
accept = ["image/*"]
max_entries = 20
dialects = ["form"]
form_answer = "success"
`;
const pages = {};
const packages = new URL("node_modules/", import.meta.url);

let site;
before(async () => {
  for (const [path, file] of Object.entries({
    "/jquery.js": "jquery/dist/jquery.js",
    "/widget.js": "blueimp-file-upload/js/vendor/jquery.ui.widget.js",
    "/iframe.js": "blueimp-file-upload/js/jquery.iframe-transport.js",
    "/fileupload.js": "blueimp-file-upload/js/jquery.fileupload.js",
  })) pages[path] = await readFile(new URL(file, packages), "utf8");
  pages["/result"] = "<!doctype html><title>Result</title><script>document.body.innerText = decodeURIComponent(location.search.slice(1));</script>"
    .replace("<script>", "<body><script>");
  site = await startSite("forms", { slots: SLOTS, pages });
});
after(() => site?.stop());

/** A page with the plugin, whose `done` and `failed` fill up. `options` is the app's own script. */
async function open(t, slot, options = "", { path = "form", life = 3600 } = {}) {
  const who = owner(t);
  const token = tokenFor(who, life);
  const at = `/${who}-${slot}-${Math.random()}`;
  const url = `${site.url}/u/${slot}/${token}/${path}`;
  pages[at] = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Pictures</title></head><body>
<form id="form"><input type="hidden" name="csrfmiddlewaretoken" value="Zm9v">
<input id="fileupload" type="file" name="files[]" multiple></form><ul id="rows"></ul>
<script src="/jquery.js"></script><script src="/widget.js"></script><script src="/iframe.js"></script><script src="/fileupload.js"></script>
<script>
window.url = ${JSON.stringify(url)}; window.api = ${JSON.stringify(site.url)}; window.token = ${JSON.stringify(token)};
window.done = []; window.failed = []; window.progress = 0; window.running = 0; window.most = 0; window.stops = 0;
$("#fileupload").fileupload($.extend({
  url: window.url, dataType: "json",
  send: () => { most = Math.max(most, ++running); },
  always: () => { running -= 1; },
  done: (e, data) => { for (const file of data.result.files) done.push(file); },
  fail: (e, data) => { failed.push([data.jqXHR.status, data.errorThrown]); },
  progressall: (e, data) => { progress = data.loaded / data.total; },
  stop: () => { stops += 1; },
}, ${options || "{}"}));
</script></body></html>`;
  const visited = await visit(t, site.browser, site.origin + at, { broken: true });
  return { ...visited, who, token, url };
}

async function pick(page, files) {
  await page.setInputFiles("#fileupload", files);
  return settled(page, files.length);
}

/** What the plugin says once so many files are done or failed. */
async function settled(page, count) {
  await page.waitForFunction((count) => done.length + failed.length >= count, count, { timeout: PATIENCE * 4 });
  return page.evaluate(() => ({ done, failed, progress, most, stops }));
}

/** The rows of an owner's files, by the API. */
async function rows(who, slot) {
  const answer = await fetch(`${site.url}/v1/files?slot=${slot}`, { headers: { authorization: `Bearer ${tokenFor(who, 60)}` } });
  return (await answer.json()).files;
}

async function bytesOf(row) {
  return Buffer.from(await (await fetch(row.url)).arrayBuffer());
}

/** Until nothing of an owner is in staging and no ticket of theirs is open. */
async function nothingIsLeft(who) {
  const headers = { authorization: `Bearer ${tokenFor(who, 60)}` };
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const { tickets } = await (await fetch(`${site.url}/v1/tickets`, { headers })).json();
    const left = tickets.filter(({ state }) => state === "open").map(({ id }) => id);
    for (const { id } of tickets) left.push(...await keys(site.store, id), ...await multiparts(site.store, id));
    if (left.length === 0) return;
    assert.ok(Date.now() < deadline, left.join());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const png = (name, buffer = picture(40, 30, [200, 100, 50])) => ({ name, mimeType: "image/png", buffer });

test("a_picture_with_any_name_becomes_a_row_and_can_be_deleted", async (t) => {
  const { page, who } = await open(t, "pictures");
  const given = png("Ünïcödé 😀 'x'.png");
  const { done: [file], failed } = await pick(page, [given]);
  assert.deepEqual(failed, []);
  assert.equal(file.error, undefined);
  const [row] = await rows(who, "pictures");
  assert.deepEqual([row.name, row.size, row.type, row.id], [given.name, given.buffer.length, "image/png", file.id]);
  assert.deepEqual(await bytesOf(row), given.buffer);
  assert.equal((await fetch(new URL(file.url, site.url))).status, 200);
  const gone = await page.evaluate(({ deleteUrl, deleteType }) => $.ajax({ url: new URL(deleteUrl, api).href, type: deleteType, dataType: "json" }), file);
  assert.deepEqual(gone, { [given.name]: true });
  assert.deepEqual(await rows(who, "pictures"), []);
  await nothingIsLeft(who);
});

test("many_files_one_after_the_other_and_the_progress_of_all", async (t) => {
  const { page, who } = await open(t, "pictures", "{sequentialUploads: true}");
  const given = Array.from({ length: 6 }, (_, i) => png(`${i}.png`, picture(60, 60, [40 * i, 100, 50])));
  const said = await pick(page, given);
  assert.deepEqual(said.done.map(({ name }) => name), given.map(({ name }) => name));
  assert.deepEqual([said.progress, said.most, said.stops], [1, 1, 1]);
  assert.equal((await rows(who, "pictures")).length, 6);
  const listed = await page.evaluate(() => $.getJSON(url));
  assert.deepEqual(listed.files.map(({ name }) => name).sort(), given.map(({ name }) => name));
});

test("many_files_in_one_request_are_matched_by_their_place", async (t) => {
  const { page, who } = await open(t, "pictures", "{singleFileUploads: false}");
  const said = await pick(page, [png("a.png"), { ...png("page.png"), buffer: HTML }, png("c.png")]);
  assert.deepEqual(said.done.map(({ name, error }) => [name, error]), [["a.png", undefined], ["page.png", "Filetype not allowed"], ["c.png", undefined]]);
  assert.deepEqual((await rows(who, "pictures")).map(({ name }) => name).sort(), ["a.png", "c.png"]);
});

test("what_is_not_taken_is_an_error_row_and_leaves_nothing", async (t) => {
  const { page, who } = await open(t, "pictures");
  const large = { name: "large.png", mimeType: "image/png", buffer: Buffer.alloc(8 * MIB) };
  picture(10, 10, [1, 2, 3]).copy(large.buffer);
  const given = [{ ...png("page.png"), buffer: HTML }, large, { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("words") }];
  const { done: said, failed } = await pick(page, given);
  assert.deepEqual(failed, []);
  const errors = Object.fromEntries(said.map(({ name, error, code }) => [name, [error, code]]));
  assert.deepEqual(errors, {
    "page.png": ["Filetype not allowed", "content-rejected"],
    "large.png": ["File is too big", "file-too-large"],
    "notes.txt": ["Filetype not allowed", "type-not-accepted"],
  });
  assert.deepEqual(await rows(who, "pictures"), []);
  await nothingIsLeft(who);
});

test("a_file_in_chunks_is_one_file", async (t) => {
  for (const [size, chunk] of [[900_000, 400_000], [12 * MIB + 5, 5 * MIB], [11 * MIB, 3_000_000]]) {
    const { page, who } = await open(t, "raw", `{maxChunkSize: ${chunk}}`);
    const requests = [];
    page.on("request", (request) => request.method() === "POST" && requests.push(request.headers()["content-range"]));
    const given = { name: `c d ${size}.bin`, mimeType: "application/octet-stream", buffer: picture(2100, 2100, null).subarray(0, size) };
    given.buffer = Buffer.concat([given.buffer, Buffer.alloc(size - given.buffer.length, 7)]);
    const { done: [file], failed } = await pick(page, [given]);
    assert.deepEqual(failed, []);
    assert.equal(file.error, undefined, file.error);
    assert.equal(requests.length, Math.ceil(size / chunk));
    const row = (await rows(who, "raw")).find(({ name }) => name === given.name);
    assert.ok((await bytesOf(row)).equals(given.buffer), given.name);
    await nothingIsLeft(who);
  }
});

test("a_file_that_was_broken_off_between_chunks_goes_on_where_it_was", async (t) => {
  const resume = `{maxChunkSize: 1000000, add: function (e, data) {
    var that = this;
    window.current = data;
    $.getJSON(url, {file: data.files[0].name}, function (result) {
      var file = result.file;
      data.uploadedBytes = window.resumed = file && file.size;
      $.blueimp.fileupload.prototype.options.add.call(that, e, data);
    });
  }, chunkdone: (e, data) => { if (window.stopAt && data.uploadedBytes >= window.stopAt) { window.stopAt = 0; setTimeout(() => current.abort(), 0); } }}`;
  const { page, who } = await open(t, "raw", resume);
  const buffer = Buffer.concat([Buffer.from("%PDF-1.7\n"), Buffer.alloc(8_000_000, "abcdefghij")]);
  const given = { name: "große datei.bin", mimeType: "application/octet-stream", buffer };
  await page.evaluate(() => { window.stopAt = 6_000_000; });
  const first = await pick(page, [given]);
  assert.equal(first.failed.length, 1, JSON.stringify(first));
  await page.evaluate(() => { failed.length = 0; });
  const { done: [file] } = await pick(page, [given]);
  assert.ok(await page.evaluate(() => resumed) >= 5_000_000);
  assert.equal(file.error, undefined);
  const [row] = await rows(who, "raw");
  assert.ok((await bytesOf(row)).equals(buffer));
  await nothingIsLeft(who);
});

test("an_iframe_brings_the_answer_to_a_page_of_the_apps_own", async (t) => {
  const { page, who } = await open(t, "pictures", `{forceIframeTransport: true, redirect: location.origin + "/result?%s",
    dataType: "iframe", done: (e, data) => { done.push(...JSON.parse(data.result.find("body").text()).files); }}`);
  const { done: [file] } = await pick(page, [png("framed.png")]);
  assert.equal(file.name, "framed.png");
  assert.equal((await rows(who, "pictures"))[0].id, file.id);
});

test("the_unmodified_plugin_puts_files_straight_into_the_store", async (t) => {
  const direct = `{
    add: (e, data) => {
      const [file] = data.files;
      const call = (method, path, body) => fetch(api + path, {method, headers: {authorization: "Bearer " + token, "content-type": "application/json"}, body: body && JSON.stringify(body)}).then((answer) => answer.json());
      call("POST", "/v1/tickets", {slot: "pictures", files: [{name: file.name, size: file.size, type: file.type}]}).then((minted) => {
        const [ticket] = minted.tickets ?? [];
        if (!ticket) { done.push({name: file.name, error: minted.code}); return; }
        data.ticket = ticket;
        data.complete = () => call("POST", "/v1/tickets/" + ticket.id + "/complete");
        data.url = ticket.transfer.url; data.type = "PUT"; data.multipart = false; data.dataType = "text";
        data.submit();
      });
    },
    done: (e, data) => data.complete().then((said) => done.push(said.file ?? {name: data.files[0].name, error: said.reason})),
  }`;
  const { page, who, puts } = await open(t, "pictures", direct);
  const { done: said, failed } = await pick(page, [png("a.png"), { ...png("page.png"), buffer: HTML }]);
  assert.deepEqual(failed, []);
  assert.equal(said.find(({ name }) => name === "page.png").error, "active-content");
  assert.deepEqual((await rows(who, "pictures")).map(({ name }) => name), ["a.png"]);
  assert.equal(puts.length, 2);
  await nothingIsLeft(who);
});

test("the_unmodified_plugin_posts_forms_straight_into_the_store", async (t) => {
  const direct = `{
    add: (e, data) => {
      const [file] = data.files;
      const base = url.replace(/\\/form$/, "");
      $.getJSON(base + "/s3/params", {filename: file.name, type: file.type}).then((form) => {
        data.complete = () => $.ajax({url: base + "/tickets/" + form.fields.key + "/complete", type: "POST", dataType: "json"});
        data.url = form.url; data.type = "POST"; data.formData = form.fields; data.paramName = "file"; data.dataType = "xml";
        data.submit();
      }, (jqXHR) => done.push({name: file.name, error: jqXHR.responseJSON.message}));
    },
    done: (e, data) => data.complete().then((said) => done.push(said.file), (jqXHR) => done.push({name: data.files[0].name, error: jqXHR.responseJSON.reason})),
    fail: (e, data) => { failed.push([data.files[0].name, data.jqXHR.status]); },
  }`;
  const { page, who } = await open(t, "pictures", direct);
  const large = { name: "large.png", mimeType: "image/png", buffer: Buffer.concat([picture(9, 9, [1, 2, 3]), Buffer.alloc(7 * MIB)]) };
  const said = await pick(page, [png("grün.png"), { ...png("page.png"), buffer: HTML }, large]);
  assert.equal(said.done.find(({ name }) => name === "page.png").error, "active-content");
  assert.deepEqual(said.failed.map(([name]) => name), ["large.png"]);
  assert.deepEqual((await rows(who, "pictures")).map(({ name }) => name), ["grün.png"]);
});

test("the_tutorials_page_shows_what_is_valid", async (t) => {
  const { page, who } = await open(t, "tutorial", `{done: (e, data) => { done.push(data.result);
    if (data.result.is_valid) $("#rows").prepend($("<li>").append($("<a>").attr("href", data.result.url).text(data.result.name))); }}`);
  const { done: said } = await pick(page, [png("a.png"), { ...png("page.png"), buffer: HTML }]);
  assert.deepEqual(said.map(({ is_valid: ok }) => ok).sort(), [false, true]);
  assert.equal(await page.locator("#rows a").innerText(), "a.png");
  assert.equal((await rows(who, "tutorial")).length, 1);
});

test("filedrops_request_is_answered_as_it_expects", async (t) => {
  const { page, who, url } = await open(t, "drop");
  // As the plug-in builds it: by hand, one string of bytes.
  const send = (name, bytes) => page.evaluate(({ url, name, bytes }) => new Promise((resolve) => {
    const boundary = "------multipartformboundary" + Date.now();
    let body = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${unescape(encodeURIComponent(name))}"\r\n`
      + "Content-Type: application/octet-stream\r\n\r\n";
    body += atob(bytes) + "\r\n" + `--${boundary}--\r\n`;
    const xhr = new XMLHttpRequest();
    xhr.open("POST", url, true);
    xhr.setRequestHeader("content-type", "multipart/form-data; boundary=" + boundary);
    xhr.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    xhr.onload = () => resolve([xhr.status, JSON.parse(xhr.responseText)]);
    xhr.send(Uint8Array.from(body, (c) => c.charCodeAt(0)));
  }), { url, name, bytes: bytes.toString("base64") });
  const [status, said] = await send("größe.png", png().buffer);
  assert.deepEqual([status, said.success], [200, true]);
  const [refused, why] = await send("page.png", HTML);
  assert.deepEqual([refused, why.success, why.error], [422, false, "Filetype not allowed"]);
  assert.deepEqual((await rows(who, "drop")).map(({ name }) => name), ["größe.png"]);
});

test("a_page_without_script_is_led_back_with_the_verdict", async (t) => {
  const who = owner(t);
  const at = `/plain-${Math.random()}`;
  pages[at] = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Plain</title></head><body>
<form method="post" enctype="multipart/form-data" action="${site.url}/u/pictures/${tokenFor(who, 600)}/form">
<input type="hidden" name="back" value="${site.origin}${at}">
<input type="file" name="picture"><input type="file" name="another"><button>Send</button></form></body></html>`;
  const context = await site.browser.newContext({ javaScriptEnabled: false });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const submit = async (files) => {
    await page.goto(site.origin + at);
    await page.setInputFiles("input[name=picture]", files);
    await page.click("button");
    await page.waitForURL(/[?&](uploaded|refused)=/);
    return Object.fromEntries(new URL(page.url()).searchParams);
  };
  const { uploaded } = await submit([png("plain form.png")]);
  assert.deepEqual((await rows(who, "pictures")).map(({ id, name }) => [id, name]), [[uploaded, "plain form.png"]]);
  assert.deepEqual(await submit([{ ...png("Seite.png"), buffer: HTML }]), { refused: "content-rejected", reason: "active-content", name: "Seite.png" });
  assert.deepEqual(await submit([]), { refused: "no-file" });
  assert.equal((await rows(who, "pictures")).length, 1);
});
