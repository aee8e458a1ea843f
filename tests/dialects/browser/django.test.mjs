// A real Django project with django-jsonform's admin widget, and Putgate under a path of its host.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { end } from "../../browser/broker.mjs";
import { picture } from "../../browser/pictures.mjs";
import { s3 } from "../../browser/s3.mjs";
import { SECRET, freePort } from "../../browser/broker.mjs";
import { startSite, tokenFor } from "../../browser/site.mjs";
import { PATIENCE } from "../../browser/visitor.mjs";

const SLOTS = `
[slots.pictures]
accept = ["image/*"]
max_file_size = "6MiB"
max_entries = 50
dialects = ["jsonform"]
[slots.contracts]
accept = [".txt"]
max_entries = 50
dialects = ["jsonform"]
`;
const PYTHON = process.env.PYTHON ?? "python3";
const PROJECT = fileURLToPath(new URL("django/", import.meta.url));
const HTML = Buffer.from("<!doctype html><script>alert(1)</script>");

let site, host, django, dir;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), "putgate-django-"));
  const port = await freePort();
  const env = {
    PATH: process.env.PATH, HOME: dir, DJANGO_DATABASE: join(dir, "db.sqlite3"), PUTGATE_SECRET: SECRET, PYTHONDONTWRITEBYTECODE: "1",
    DJANGO_SUPERUSER_USERNAME: "admin", DJANGO_SUPERUSER_PASSWORD: "admin", DJANGO_SUPERUSER_EMAIL: "a@example.com",
  };
  const manage = (...args) => spawn(PYTHON, ["manage.py", ...args], { cwd: PROJECT, env, stdio: ["ignore", "ignore", "inherit"] });
  for (const args of [["migrate", "--run-syncdb", "-v0"], ["createsuperuser", "--noinput", "-v0"]]) {
    const [code] = await once(manage(...args), "exit");
    assert.equal(code, 0, args[0]);
  }
  django = manage("runserver", "--noreload", `127.0.0.1:${port}`);
  host = await oneHost(port);
  site = await startSite("django", { slots: SLOTS, publicUrl: `${host.url}/putgate` });
  host.broker = site.url;
  await listens(port);
});
after(async () => {
  await site?.stop();
  await host?.close();
  if (django) await end(django, "SIGTERM");
  if (dir) await rm(dir, { recursive: true, force: true });
});

/** One origin for both: what a proxy in front of them does. */
async function oneHost(port) {
  const host = {};
  const server = createServer((incoming, answer) => {
    const far = incoming.url.startsWith("/putgate/") ? host.broker : `http://127.0.0.1:${port}`;
    const onward = request(far + incoming.url, { method: incoming.method, headers: incoming.headers }, (given) => {
      answer.writeHead(given.statusCode, given.headers);
      given.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  host.url = `http://127.0.0.1:${server.address().port}`;
  host.close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return host;
}

async function listens(port) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const socket = connect({ port, host: "127.0.0.1" });
    const open = await Promise.race([once(socket, "connect").then(() => true), once(socket, "close").then(() => false)]).catch(() => false);
    socket.destroy();
    if (open) return;
    assert.ok(Date.now() < deadline, "Django does not listen");
    await wait(50);
  }
}

/** The admin's page for a new album, as somebody who has just logged in. */
async function open(t) {
  const context = await site.browser.newContext({ viewport: { width: 1280, height: 900 } });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const said = [];
  page.on("dialog", (dialog) => {
    said.push(dialog.message());
    void dialog.accept();
  });
  await page.goto(`${host.url}/admin/login/?next=/admin/shop/album/add/`);
  await page.fill("#id_username", "admin");
  await page.fill("#id_password", "admin");
  await page.click("input[type=submit]");
  await page.locator("text=Select file").first().waitFor();
  return { page, said };
}

const field = (page, index) => page.locator(".rjf-file-field").nth(index);

async function upload(page, index, file) {
  await field(page, index).locator("button", { hasText: /Select file|Change file/ }).click();
  await page.setInputFiles(".rjf-modal__body input[type=file]", file);
}

/** The value that a field shows. */
async function value(page, index) {
  return (await field(page, index).locator(".rjf-current-file-name span").innerText()).trim();
}

async function rows(slot = "pictures") {
  const answer = await fetch(`${site.url}/v1/files?slot=${slot}`, { headers: { authorization: `Bearer ${tokenFor("1", 60)}` } });
  return (await answer.json()).files;
}

async function until(what, condition) {
  const deadline = Date.now() + PATIENCE;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, what);
    await wait(50);
  }
}

const png = (name, colour) => ({ name, mimeType: "image/png", buffer: picture(60, 40, colour) });

test("a_file_chosen_in_the_admin_is_kept_and_its_key_is_saved_with_the_model", async (t) => {
  const { page, said } = await open(t);
  await upload(page, 0, png("Deckblatt 😀.png", [200, 100, 50]));
  await field(page, 0).locator(".rjf-current-file-name").waitFor();
  const [row] = await rows();
  assert.equal(await value(page, 0), row.key);
  assert.equal(row.name, "Deckblatt 😀.png");
  assert.equal(row.metadata.field_name, "data");
  assert.match(row.metadata.coords, /cover/);
  assert.match(row.metadata.model_name, /album/i);
  const objects = await s3(site.store, "GET", "/files", { "list-type": "2" });
  assert.ok(objects.includes(`<Key>${row.key}</Key>`));
  await page.click("input[name=_continue]");
  await page.locator("text=was added successfully").waitFor();
  assert.equal(await value(page, 0), row.key);
  assert.deepEqual((await rows()).map(({ id }) => id), [row.id], "saved, so the page's end deletes nothing");
  assert.deepEqual(said, []);
});

test("a_field_may_have_a_handler_of_its_own", async (t) => {
  const { page } = await open(t);
  const contract = { name: "contract.txt", mimeType: "text/plain", buffer: Buffer.from("Both sides agree.\n") };
  await upload(page, 1, contract);
  await field(page, 1).locator(".rjf-current-file-name").waitFor();
  assert.deepEqual((await rows("contracts")).map(({ key, name }) => [key, name]), [[await value(page, 1), "contract.txt"]]);
});

test("what_is_refused_is_an_alert_and_no_value", async (t) => {
  const { page, said } = await open(t);
  const before = (await rows()).length;
  const large = { name: "large.png", mimeType: "image/png", buffer: Buffer.concat([picture(9, 9, [1, 2, 3]), Buffer.alloc(7 << 20)]) };
  for (const file of [{ ...png("page.png"), buffer: HTML }, large]) {
    said.length = 0;
    await upload(page, 0, file);
    await until("an alert", () => said.length > 0);
    assert.match(said[0], /Something went wrong while uploading file/);
    await page.keyboard.press("Escape");
    await page.locator(".rjf-modal__dialog").waitFor({ state: "detached" });
    assert.equal(await field(page, 0).locator(".rjf-current-file-name").count(), 0);
  }
  assert.equal((await rows()).length, before);
});

test("the_library_shows_pictures_and_deletes_them", async (t) => {
  const { page, said } = await open(t);
  await upload(page, 0, png("library.png", [20, 200, 50]));
  await field(page, 0).locator(".rjf-current-file-name").waitFor();
  const key = await value(page, 0);
  await field(page, 0).locator("button", { hasText: "Change file" }).click();
  await page.locator("text=Choose from library").click();
  const tile = page.locator(".rjf-upload-modal__media-tile").first();
  await tile.locator("img").waitFor();
  await until("a thumbnail", () => tile.locator("img").evaluate((img) => img.complete && img.naturalWidth === 60));
  assert.match(await tile.innerText(), /library\.png/);
  await tile.locator("button").first().click();
  await tile.locator("text=Delete").click();
  await until("the row is gone", async () => (await rows()).every((row) => row.key !== key));
  assert.match(said.join(), /Do you want to delete this file/);
});

test("leaving_the_page_unsaved_deletes_what_was_new", async (t) => {
  const { page } = await open(t);
  const before = (await rows()).map(({ id }) => id);
  await upload(page, 0, png("one.png", [10, 10, 200]));
  await field(page, 0).locator(".rjf-current-file-name").waitFor();
  await upload(page, 0, png("two, with a comma.png", [10, 90, 200]));
  await until("both", async () => (await rows()).length === before.length + 2);
  await page.goto(`${host.url}/admin/`);
  await until("both are gone", async () => (await rows()).length === before.length);
  assert.deepEqual((await rows()).map(({ id }) => id), before);
});
