// Uploads without end, by clients that do not give up, and afterwards the reckoning.
//
//   node load.mjs drive PAGE API LEDGER     uploads until SIGTERM; the ledger is a file
//   node load.mjs check PAGE API LEDGER     everything that the store ever took must be a file
//   node load.mjs event PAGE API            one upload whose end only the store tells
//
// What counts as taken: the store answered a PUT with 200. From then on the bytes may not get
// lost, whatever is killed.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const [mode, PAGE, API, LEDGER] = process.argv.slice(2);
const CLIENTS = 4;
const FILES_PER_OWNER = 10;
const PATIENCE = 120_000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let stopped = false;
process.on("SIGTERM", () => (stopped = true));

/** One request; nothing when there was no answer, or one that says try again. */
async function ask(url, options = {}) {
  try {
    const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(30_000) });
    const text = await answer.text();
    if (answer.status >= 500 || answer.status === 202) return undefined;
    const json = answer.headers.get("content-type")?.includes("json");
    return { status: answer.status, body: json ? JSON.parse(text) : text };
  } catch {
    return undefined;
  }
}

/** The same until there is an answer. */
async function insist(url, options, deadline = Infinity) {
  for (;;) {
    const answer = await ask(url, options);
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`no answer from ${new URL(url).origin}`);
    await pause(100);
  }
}

const as = (token, more = {}) => ({ ...more, headers: { authorization: `Bearer ${token}`, ...more.headers } });

async function token(owner) {
  return (await insist(`${PAGE}/dev/token?sub=${owner}&scope=upload+read`)).body.token;
}

async function mint(bearer, key, name, size) {
  const answer = await insist(`${API}/v1/tickets`, as(bearer, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify({ slot: "documents", files: [{ name, size }] }),
  }));
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body.tickets[0];
}

async function client(number, ledger) {
  for (let owner, bearer, n = 0; !stopped; n++) {
    if (n % FILES_PER_OWNER === 0) {
      owner = `load-${number}-${randomBytes(4).toString("hex")}`;
      bearer = await token(owner);
    }
    const text = `file ${n} of ${owner}\n`;
    const { id, transfer } = await mint(bearer, `${owner}-${n}`, `${n}.txt`, text.length);
    const put = await insist(transfer.url, { method: "PUT", headers: transfer.headers, body: text });
    assert.equal(put.status, 200, put.body);
    const entry = { id, owner, text, committed: false };
    ledger.push(entry);
    const done = await ask(`${API}/v1/tickets/${id}/complete?wait=20`, as(bearer, { method: "POST" }));
    entry.committed = done?.status === 200;
    console.log(entry.committed ? "committed" : "unanswered");
  }
}

async function drive() {
  const ledger = [];
  const clients = Array.from({ length: CLIENTS }, (_, number) => client(number, ledger));
  const all = Promise.all(clients);
  await Promise.race([all, (async () => { while (!stopped) await pause(50); await pause(5_000); })()]);
  writeFileSync(LEDGER, JSON.stringify(ledger));
  console.log(`${ledger.length} taken by the store, ${ledger.filter((entry) => !entry.committed).length} without an answer to complete`);
  process.exit(0);
}

async function check() {
  const ledger = JSON.parse(readFileSync(LEDGER));
  const deadline = Date.now() + PATIENCE;
  const tokens = new Map();
  for (const { id, owner, text } of ledger) {
    if (!tokens.has(owner)) tokens.set(owner, await token(owner));
    const bearer = tokens.get(owner);
    const done = await insist(`${API}/v1/tickets/${id}/complete?wait=20`, as(bearer, { method: "POST" }), deadline);
    assert.equal(done.status, 200, `${id} of ${owner}: ${JSON.stringify(done.body)}`);
    const bytes = await insist(done.body.file.url, {}, deadline);
    assert.deepEqual([bytes.status, bytes.body], [200, text], id);
  }
  console.log(`${ledger.length} files are there, byte for byte`);
}

async function event() {
  const owner = `event-${randomBytes(4).toString("hex")}`;
  const bearer = await token(owner);
  const text = "nobody says that this is complete\n";
  const { id, transfer } = await mint(bearer, owner, "event.txt", text.length);
  const put = await insist(transfer.url, { method: "PUT", headers: transfer.headers, body: text });
  assert.equal(put.status, 200, put.body);
  const began = Date.now();
  const ticket = await insist(`${API}/v1/tickets/${id}?wait=20`, as(bearer));
  assert.equal(ticket.body.state, "committed", "the worker alone looks after a minute");
  console.log(`committed by the store's word, ${Date.now() - began} ms after the PUT`);
}

await { drive, check, event }[mode]();
