// A broker of its own for the pages of another origin: `putgate serve` on a store, behind a line that can be bad.
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTcpServer, connect } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SECRET, serve, startDev } from "./broker.mjs";

const DIST = fileURLToPath(new URL("../../client-js/dist/", import.meta.url));

/**
 * A store (that of PUTGATE_TEST_STORE, else devstore), a line in front of it, pages of an origin of their own, a
 * broker for them, and Chromium. `slots` is TOML; `pages` has a body for every path; `publicUrl` is the broker's own
 * unless a proxy gives it another.
 */
export async function startSite(name, { slots, publicUrl, pages = {} }) {
  const dev = await startDev(name);
  const store = await storeOf(dev);
  const line = await Line.before(store.endpoint);
  // Seconds that the next tokens live; after them an hour.
  const tokens = { issued: 0, lives: [] };
  const origin = await host(pages, tokens);
  const broker = await serve(name, store, { origin: origin.url, slots, publicUrl, door: line.url });
  return {
    ...dev, store, line, origin: origin.url, tokens, ...broker,
    async stop() {
      await broker.stop();
      await line.close();
      await origin.close();
      await dev.stop();
    },
  };
}

async function storeOf({ urls, data }) {
  if (process.env.PUTGATE_TEST_STORE) return JSON.parse(process.env.PUTGATE_TEST_STORE);
  const secret = async (name) => (await readFile(join(data, `${name}.secret`), "utf8")).trim();
  return {
    name: "devstore", endpoint: urls.store_url, region: "us-east-1",
    server: ["dev-server", await secret("server")], upload: ["dev-upload", await secret("upload")],
  };
}

/** A token for `sub`, good for `life` seconds. */
export function tokenFor(sub, life) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub, scope: "upload read delete", exp: Math.floor(Date.now() / 1000) + life };
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** The app's own server: pages, the client's files, and `/token?sub=`. */
async function host(pages, tokens) {
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://here");
    const answer = (type, body) => response.setHeader("content-type", type).end(body);
    if (pathname === "/token") {
      tokens.issued += 1;
      return answer("application/json", JSON.stringify({ token: tokenFor(searchParams.get("sub") ?? "somebody", tokens.lives.shift() ?? 3600) }));
    }
    if (/^\/client\/[a-z-]+\.js$/.test(pathname)) return answer("text/javascript", await readFile(DIST + pathname.slice(8)));
    if (pathname in pages) return answer("text/html; charset=utf-8", pages[pathname]);
    if (pathname === "/save" && request.method === "POST") {
      let body = "";
      for await (const piece of request) body += piece;
      return answer("text/html", `<!doctype html><title>Saved</title><p id="got">${body.replace(/[<&]/g, "")}</p>`);
    }
    response.writeHead(204).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A line between the browser and the store, that a test makes slow, late or dead. */
export class Line {
  /** Bytes a second towards the store; Infinity: all there is. */
  rate = Infinity;
  /** Milliseconds that every byte takes, either way. */
  latency = 0;
  /** The parts whose request headers came by, in order. */
  parts = [];
  #dead = false;
  #sockets = new Set();
  /** When the last byte that was let through will have passed. */
  #busy = 0;

  static async before(endpoint) {
    const { hostname, port } = new URL(endpoint);
    const line = new Line();
    line.server = createTcpServer({ noDelay: true }, (near) => line.#carry(near, hostname, Number(port)));
    line.server.listen(0, "127.0.0.1");
    await once(line.server, "listening");
    line.url = `http://127.0.0.1:${line.server.address().port}`;
    return line;
  }

  /** Cuts every connection, and refuses new ones for so many milliseconds. */
  async cut(milliseconds) {
    this.#dead = true;
    for (const socket of this.#sockets) socket.destroy();
    await wait(milliseconds);
    this.#dead = false;
  }

  close() {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.server.close(resolve));
  }

  #carry(near, host, port) {
    if (this.#dead) return near.resetAndDestroy();
    const far = connect({ host, port, noDelay: true });
    for (const [from, to] of [[near, far], [far, near]]) {
      this.#sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    void this.#pour(near, far, true);
    void this.#pour(far, near, false);
  }

  async #pour(from, to, up) {
    // In flight: what has left and has not arrived.
    let flight = Promise.resolve();
    let afloat = 0;
    try {
      for await (const piece of from) {
        if (up) {
          const part = /^PUT [^ ]*[?&]partNumber=(\d+)/.exec(piece.subarray(0, 2048).toString("latin1"));
          if (part) this.parts.push(Number(part[1]));
          await this.#pace(piece.length);
        }
        const arrival = performance.now() + this.latency;
        afloat += piece.length;
        flight = flight.then(async () => {
          const left = arrival - performance.now();
          if (left > 0) await wait(left);
          afloat -= piece.length;
          if (!to.destroyed && !to.write(piece)) await drained(to);
        });
        if (this.latency === 0 || afloat > 16 << 20) await flight;
      }
      await flight;
      to.end();
    } catch {
      to.destroy();
    }
  }

  async #pace(bytes) {
    if (this.rate === Infinity) return;
    const now = performance.now();
    this.#busy = Math.max(now, this.#busy) + (bytes / this.rate) * 1000;
    await wait(this.#busy - now);
  }
}

/** Until a socket takes more, or nothing any more. */
async function drained(socket) {
  const heard = new AbortController();
  const waits = ["drain", "close"].map((event) => once(socket, event, heard));
  await Promise.race(waits).catch(() => {});
  heard.abort();
}
