// A broker, its store and a browser for one file of tests.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, openSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const BINARY = process.env.PUTGATE_BIN ?? fileURLToPath(new URL("../../target/debug/putgate", import.meta.url));
export const LOGS = process.env.SCREENSHOTS ?? fileURLToPath(new URL("screenshots", import.meta.url));

/** The tests' own variables are no settings of the broker's. */
export const ENV = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PUTGATE_")));

/** Signs the tokens for `serve`. */
export const SECRET = "a secret of the browser tests, long enough for HS256";
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * A broker with the demo's pages, and Chromium; `stop` ends all. On the store of PUTGATE_TEST_STORE it is `serve`,
 * and the pages have an origin of their own, as with compose; else it is `dev`.
 */
export async function start(name) {
  const store = process.env.PUTGATE_TEST_STORE;
  return store ? startApart(name, JSON.parse(store)) : startDev(name);
}

/** Starts `putgate dev` on free ports, and Chromium. */
export async function startDev(name) {
  await mkdir(LOGS, { recursive: true });
  const data = await mkdtemp(join(tmpdir(), "putgate-browser-"));
  const flags = ["dev", "--listen", "127.0.0.1:0", "--store-listen", "127.0.0.1:0", "--data", data];
  const server = spawn(BINARY, flags, { env: ENV, stdio: ["ignore", "pipe", openSync(join(LOGS, `${name}.log`), "w")] });
  const urls = JSON.parse(await firstLine(server));
  const browser = await launch();
  return {
    urls: { ...urls, api: urls.url },
    browser,
    data,
    async stop() {
      await browser.close();
      await end(server, "SIGTERM");
      await rm(data, { recursive: true, force: true });
    },
  };
}

/** The broker on a store, and the pages where deploy/demo serves them. */
async function startApart(name, store) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const slots = await readFile(here("../../src/http/demo/slots.toml"), "utf8");
  const broker = await serve(name, store, { origin: url, slots });
  await mkdir(join(broker.dir, "page"));
  await copyFile(here("../../deploy/demo/server.mjs"), join(broker.dir, "server.mjs"));
  await symlink(here("../../src/http/demo"), join(broker.dir, "page/demo"));
  await symlink(here("../../client-js/dist"), join(broker.dir, "page/client"));
  const env = { ...ENV, API_URL: broker.url, STORE_URL: store.endpoint, JWT_SECRET_FILE: join(broker.dir, "token.secret"), PORT: port };
  const pages = spawn(process.execPath, [join(broker.dir, "server.mjs")], { env, stdio: ["ignore", "pipe", "inherit"] });
  await firstLine(pages);
  const browser = await launch();
  return {
    urls: { url, api: broker.url, store_url: store.endpoint },
    browser,
    async stop() {
      await browser.close();
      await end(pages, "SIGTERM");
      await broker.stop();
    },
  };
}

/**
 * `putgate setup`, then `serve`, on a store and an SQLite of its own, for the pages of one `origin`. `slots` is TOML;
 * browsers reach the store by `door`.
 */
export async function serve(name, store, { origin, slots, publicUrl, door = store.endpoint }) {
  await mkdir(LOGS, { recursive: true });
  const dir = await mkdtemp(join(tmpdir(), "putgate-site-"));
  const config = join(dir, "putgate.toml");
  await writeFile(join(dir, "token.secret"), SECRET);
  const port = await freePort();
  await writeFile(config, `
[server]
listen = "127.0.0.1:${port}"
public_url = "${publicUrl ?? `http://127.0.0.1:${port}`}"
allowed_origins = ["${origin}"]
[database]
url = "sqlite://${join(dir, "putgate.db")}"
[storage]
endpoint = "${store.endpoint}"
public_endpoint = "${door}"
region = "${store.region}"
staging_bucket = "staging"
files_bucket = "files"
access_key = "${store.server[0]}"
secret_key = "${store.server[1]}"
upload_access_key = "${store.upload[0]}"
upload_secret_key = "${store.upload[1]}"
[auth]
hs256_secret_files = ["token.secret"]
leeway = "0s"
${slots}`);
  const putgate = (...args) => spawn(BINARY, ["--config", config, ...args], { env: ENV, stdio: ["ignore", "ignore", "pipe"] });
  await done(putgate("setup"), "setup");
  let broker = null;
  const begin = async () => {
    broker = putgate("serve");
    broker.stderr.pipe(createWriteStream(join(LOGS, `${name}-serve.log`), { flags: "a" }));
    await ready(broker);
  };
  await begin();
  return {
    dir,
    url: `http://127.0.0.1:${port}`,
    /** As a crash would. */
    kill: () => end(broker, "SIGKILL"),
    begin,
    isAlive: () => broker.exitCode === null && broker.signalCode === null,
    sweep: () => done(putgate("sweep"), "sweep"),
    /** Throws unless every law that `audit` checks holds. */
    audit: () => done(putgate("audit"), "audit"),
    async stop() {
      await end(broker, "SIGTERM");
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Chromium, which asks nobody but us. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
}

/** Ends a child and waits until it is gone. */
export async function end(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
}

/** The first line a child prints; throws when it ends without one. */
function firstLine(child) {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code} before it was ready; see its log`)));
  });
}

/** A port that was free a moment ago; the broker must come back to it after a crash. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Until `serve` says that it serves. */
function ready(child) {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stderr });
    const seen = [];
    lines.on("line", (line) => {
      seen.push(line);
      if (line.includes('"message":"serving"')) resolve();
    });
    child.once("exit", (code) => reject(new Error(`serve ended with ${code}:\n${seen.slice(-5).join("\n")}`)));
  });
}

/** Until a command is done; throws unless it did well. */
async function done(child, what) {
  let said = "";
  child.stderr?.on("data", (piece) => (said += piece));
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`${what} ended with ${code}: ${said}`);
}
