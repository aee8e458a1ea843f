import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { sha256 } from "../build/sha256.js";

const SIZES = [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 4 * 1024 * 1024, 4 * 1024 * 1024 + 57];

test("the digest is what the platform's own SHA-256 says, at every padding boundary", async () => {
  for (const size of SIZES) {
    const bytes = randomBytes(size);
    const digest = await sha256(new Blob([bytes]), () => {}, () => false);
    assert.equal(digest, createHash("sha256").update(bytes).digest("base64"), `${size} bytes`);
  }
});

test("hashing stops when it is told to", async () => {
  assert.equal(await sha256(new Blob([new Uint8Array(128)]), () => {}, () => true), null);
});
