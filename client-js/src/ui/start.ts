/** What a page says in attributes: where the broker is, and where tokens are had. */
import { createClient } from "../index.js";
import type { Client } from "../types.js";

/**
 * A token getter that asks the page's own server: `GET url` with cookies, answered with
 * `{"token": "…"}`.
 */
export function tokenFrom(url: string): () => Promise<string> {
  return async () => {
    const answer = await fetch(url, { credentials: "same-origin", cache: "no-store", headers: { accept: "application/json" } });
    const body: unknown = answer.ok ? await answer.json().catch(() => null) : null;
    const token = typeof body === "object" && body !== null && "token" in body ? body.token : undefined;
    if (typeof token !== "string") throw new Error(`No token at ${url}: the answer was ${answer.status}.`);
    return token;
  };
}

const clients = new Map<string, Client>();

/** The client for an endpoint and a token URL; elements of one page share it, and with it its lines. */
export function clientFor(endpoint: string, tokenUrl: string): Client {
  const key = JSON.stringify([endpoint, tokenUrl]);
  let client = clients.get(key);
  if (client === undefined) {
    client = createClient({ endpoint, token: tokenFrom(tokenUrl) });
    clients.set(key, client);
  }
  return client;
}

/** What `accept` of a file input has to say for a slot: extensions show best, so they come first. */
export function acceptOf(slot: { accept: string[]; accepted?: { extensions: string[]; types: string[] } }): string {
  if (slot.accept.length === 0) return "";
  const { extensions = [], types = [] } = slot.accepted ?? {};
  // With all names of a type, phones offer the camera and desktops grey out less that is right.
  return [...new Set([...slot.accept, ...extensions, ...types])].join(",");
}
