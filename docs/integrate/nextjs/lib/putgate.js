// What an app's backend does with Putgate: tokens for its users, claims, webhooks. Node's own
// crypto only, so route handlers that use it run in the Node.js runtime.
import { createHmac, timingSafeEqual } from "node:crypto";

const { PUTGATE_URL, PUTGATE_JWT_SECRET, PUTGATE_WEBHOOK_SECRET } = process.env;
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token for one user. `{slots: ["photos"], refs: ["post:42"]}` narrows what it may do. */
export function token(user, { scope = "upload read", minutes = 15, ...claims } = {}) {
  const exp = Math.floor(Date.now() / 1000) + minutes * 60;
  const text = `${base64url({ alg: "HS256", typ: "JWT" })}.${base64url({ ...claims, sub: user, scope, exp })}`;
  return `${text}.${createHmac("sha256", PUTGATE_JWT_SECRET).update(text).digest("base64url")}`;
}

/** Takes a user's files for an object of the app: all or none. The answer is Putgate's, problems too. */
export function claim(owner, files, ref) {
  return fetch(`${PUTGATE_URL}/v1/claims`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token("backend", { scope: "manage", minutes: 1 })}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ owner, files, ref }),
    signal: AbortSignal.timeout(10_000),
  });
}

/** The event of a webhook that Putgate signed in the last five minutes, or null. Ids may come again. */
export async function event(request) {
  const [id, sent, signatures] = ["id", "timestamp", "signature"].map((name) => request.headers.get(`webhook-${name}`) ?? "");
  const body = Buffer.from(await request.arrayBuffer());
  if (!/^\d+$/.test(sent) || Math.abs(Date.now() / 1000 - Number(sent)) > 300) return null;
  const key = Buffer.from(PUTGATE_WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
  const wanted = createHmac("sha256", key).update(`${id}.${sent}.`).update(body).digest();
  const isOurs = (given) => {
    const bytes = Buffer.from(given.replace(/^v1,/, ""), "base64");
    return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
  };
  return signatures.split(" ").some(isOurs) ? { id, ...JSON.parse(body) } : null;
}
