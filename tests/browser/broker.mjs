// A broker, its store and a browser for one file of tests.
import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const BINARY = process.env.PUTGATE_BIN ?? fileURLToPath(new URL("../../target/debug/putgate", import.meta.url));
export const LOGS = process.env.SCREENSHOTS ?? fileURLToPath(new URL("screenshots", import.meta.url));

/** The tests' own variables are no settings of the broker's. */
export const ENV = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PUTGATE_")));

/** Starts `putgate dev` on free ports, and Chromium; `stop` ends both. */
export async function start(name) {
  await mkdir(LOGS, { recursive: true });
  const data = await mkdtemp(join(tmpdir(), "putgate-browser-"));
  const flags = ["dev", "--listen", "127.0.0.1:0", "--store-listen", "127.0.0.1:0", "--data", data];
  const server = spawn(BINARY, flags, { env: ENV, stdio: ["ignore", "pipe", openSync(join(LOGS, `${name}.log`), "w")] });
  const urls = JSON.parse(await firstLine(server));
  const browser = await launch();
  return {
    urls,
    browser,
    data,
    async stop() {
      await browser.close();
      await end(server, "SIGTERM");
      await rm(data, { recursive: true, force: true });
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

/** The first line the server prints; throws when it ends without one. */
function firstLine(child) {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code} before it was ready; see its log`)));
  });
}
