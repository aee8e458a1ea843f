// A broker, its store and a browser for one file of tests.
import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const BINARY = process.env.PUTGATE_BIN ?? fileURLToPath(new URL("../../target/debug/putgate", import.meta.url));
const LOGS = process.env.SCREENSHOTS ?? fileURLToPath(new URL("screenshots", import.meta.url));

/** Starts `putgate dev` on free ports, and Chromium; `stop` ends both. */
export async function start(name) {
  await mkdir(LOGS, { recursive: true });
  const data = await mkdtemp(join(tmpdir(), "putgate-browser-"));
  const flags = ["dev", "--listen", "127.0.0.1:0", "--store-listen", "127.0.0.1:0", "--data", data];
  const server = spawn(BINARY, flags, { stdio: ["ignore", "pipe", openSync(join(LOGS, `${name}.log`), "w")] });
  const urls = JSON.parse(await firstLine(server));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
  return {
    urls,
    browser,
    async stop() {
      await browser.close();
      if (server.exitCode === null) {
        const gone = new Promise((resolve) => server.once("exit", resolve));
        server.kill("SIGTERM");
        await gone;
      }
      await rm(data, { recursive: true, force: true });
    },
  };
}

/** The first line the server prints; throws when it ends without one. */
function firstLine(child) {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code} before it was ready; see its log`)));
  });
}
