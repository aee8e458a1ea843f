import type { Client } from "../types.js";
/**
 * A token getter that asks the page's own server: `GET url` with cookies, answered with
 * `{"token": "…"}`.
 */
export declare function tokenFrom(url: string): () => Promise<string>;
/** The client for an endpoint and a token URL; elements of one page share it, and with it its lines. */
export declare function clientFor(endpoint: string, tokenUrl: string): Client;
/** What `accept` of a file input has to say for a slot: extensions show best, so they come first. */
export declare function acceptOf(slot: {
    accept: string[];
    accepted?: {
        extensions: string[];
        types: string[];
    };
}): string;
