// The demo page, and what stands for your app's backend: it signs tokens.
//
// It hands a token to whoever asks. In your app the session says who `sub` is, and what they
// may do; the rest of this file is the same.

import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const { API_URL = "", STORE_URL = "", JWT_SECRET_FILE, PORT = "8080" } = process.env;
const TOKEN_LIFE = 3600; // seconds
const PAGES = { "/": "photos", "/avatar": "avatar", "/documents": "documents", "/big": "big" };
const PARTS = /^\/(?:demo|client)\/[\w-]+\.(css|js|js\.map)$/;
const TYPES = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  "js.map": "application/json",
};
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  `connect-src 'self' ${API_URL} ${STORE_URL}`,
  `img-src 'self' data: blob: ${STORE_URL}`,
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** A JWT signed with HS256 (RFC 7519). */
function sign(claims, secret) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

async function token(asked) {
  // Read anew, so that a rotated secret counts at once. A newline at its end does not.
  const secret = (await readFile(JWT_SECRET_FILE, "utf8")).replace(/\r?\n$/, "");
  const claims = {
    sub: asked.get("sub") ?? "demo",
    exp: Math.floor(Date.now() / 1000) + TOKEN_LIFE,
  };
  for (const name of ["scope", "tenant"]) {
    if (asked.has(name)) claims[name] = asked.get(name);
  }
  return { token: sign(claims, secret) };
}

async function answer(request, response) {
  const url = new URL(request.url, "http://localhost");
  response.setHeader("x-content-type-options", "nosniff");
  if (url.pathname === "/dev/token") {
    response.setHeader("content-type", "application/json");
    response.setHeader("cache-control", "no-store");
    response.end(JSON.stringify(await token(url.searchParams)));
    return;
  }
  const page = Object.hasOwn(PAGES, url.pathname) ? PAGES[url.pathname] : undefined;
  const part = PARTS.exec(url.pathname);
  if (page) {
    const text = await read(`demo/${page}.html`);
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.setHeader("content-security-policy", POLICY);
    response.end(
      text.replace("<html ", `<html data-api="${API_URL}" `)
        .replaceAll('data-putgate-endpoint=""', `data-putgate-endpoint="${API_URL}"`),
    );
  } else if (part) {
    const text = await read(url.pathname.slice(1)).catch(() => undefined);
    response.setHeader("content-type", TYPES[part[1]]);
    response.writeHead(text === undefined ? 404 : 200).end(text);
  } else {
    response.writeHead(404).end();
  }
}

const read = (path) => readFile(new URL(`page/${path}`, import.meta.url), "utf8");

createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
}).listen(Number(PORT), () => console.log(`the demo page is on port ${PORT}`));

for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
