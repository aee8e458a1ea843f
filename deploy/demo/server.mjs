// The demo page, and what stands for your app's backend: it signs tokens.
//
// It hands a token to whoever asks. In your app the session says who `sub` is, and what they
// may do; the rest of this file is the same.

import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const { API_URL = "", STORE_URL = "", JWT_SECRET_FILE, PORT = "8080" } = process.env;
const TOKEN_LIFE = 3600; // seconds
const TYPES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/demo.css": ["demo.css", "text/css; charset=utf-8"],
  "/demo.js": ["demo.js", "text/javascript; charset=utf-8"],
  "/client/putgate-client.js": ["client/putgate-client.js", "text/javascript; charset=utf-8"],
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
  const known = Object.hasOwn(TYPES, url.pathname) ? TYPES[url.pathname] : undefined;
  if (!known) {
    response.writeHead(404).end();
    return;
  }
  const [file, type] = known;
  let text = await readFile(new URL(`page/${file}`, import.meta.url), "utf8");
  if (file === "index.html") {
    response.setHeader("content-security-policy", POLICY);
    text = text.replace("<html ", `<html data-api="${API_URL}" `);
  }
  response.setHeader("content-type", type);
  response.end(text);
}

createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
}).listen(Number(PORT), () => console.log(`the demo page is on port ${PORT}`));

for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
