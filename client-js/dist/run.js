import { ask, objectOf } from "./api.js";
import { PutgateError, asError, cancelled, fromProblem } from "./errors.js";
import { refusal } from "./policy.js";
import { sleep } from "./retry.js";
import { changed, goodUntil, send } from "./send.js";
/** Seconds one call waits for the verdict. */
const WAIT = 20;
/** How often bytes that the broker misses are sent again. */
const ROUNDS = 3;
/**
 * One run of an upload: looks for a ticket to go on with or gets a new one, fills it, and asks
 * for the verdict. Run again after a failure, it goes on where the last one stopped.
 */
export async function run(job) {
    job.phase("turn");
    await job.turn();
    const { file, name, signal, desk } = job;
    const { slot: slotName, ref, metadata } = job.options;
    // It opens while the policy is on its way.
    const opening = desk.memory();
    // Where the policy cannot be had, the mint decides alone.
    const slot = await unlessAborted(desk.policies.get(slotName, ref).catch(() => null), signal);
    const refused = slot && refusal(slot, job);
    if (refused)
        throw refused;
    const memory = await opening;
    const errand = { file, about: [desk.api.endpoint, slotName, ref, name, metadata], signal, onWait: () => job.phase("other-tab") };
    return memory ? memory.around(errand, (place) => fill(job, slot, place)) : fill(job, slot, null);
}
async function fill(job, slot, place) {
    job.phase("turn");
    const old = await known(job, place);
    if (!old)
        job.ticket = null;
    const found = old ?? (await minted(job, slot));
    if (!("state" in found))
        return found;
    job.ticket = found.id;
    const onTicket = (ticket) => place?.keep(ticket);
    onTicket(found);
    try {
        const file = await deliver(job, found, old !== null, onTicket);
        await place?.end(found.id);
        return file;
    }
    catch (thrown) {
        const error = job.signal.aborted ? cancelled() : asError(thrown);
        // Where only answers were lost the ticket stays open; where the broker refused, it has ended the
        // ticket, or judges what arrived. The commit may have been faster than the failure.
        const kept = isForAnotherTry(error);
        const look = OVER.includes(error.code) ? cancel : kept ? whatCommitted : null;
        const committed = (await look?.(job.desk.api, found.id)) ?? null;
        if (committed || !kept) {
            await place?.end(found.id);
            job.ticket = null;
        }
        if (committed)
            return committed;
        throw error;
    }
}
/** Moves the bytes and gets the verdict; sends again what the broker misses. */
async function deliver(job, { id, transfer: first }, begun, onTicket) {
    for (let round = 1;; round += 1) {
        try {
            if (job.delivered !== id)
                await transfer(job, id, round === 1 ? first : undefined, begun || round > 1, onTicket);
            job.delivered = id;
        }
        catch (error) {
            // Storage does not know the upload any more: the broker finds out what became of it.
            if (!(error instanceof PutgateError && error.code === "storage-refused" && error.status === 404 && round < ROUNDS))
                throw error;
        }
        job.phase("verifying", job.file.size);
        try {
            return await verdict(job, id);
        }
        catch (error) {
            const code = error instanceof PutgateError ? error.code : "";
            if (code !== "parts-missing" && code !== "object-missing")
                throw error;
            job.delivered = null;
            if (round === ROUNDS)
                throw error;
        }
    }
}
/**
 * A ticket to go on with: this upload's own, or the one that is remembered. Answers the file when
 * that ticket was committed meanwhile, by the tab we waited for or after our last run.
 */
async function known(job, place) {
    const own = job.ticket !== null;
    const id = job.ticket ?? place?.ticket;
    if (!id)
        return null;
    try {
        const ticket = await ask(job, id, "GET", "");
        if (ticket.file && (own || place?.ours))
            return ticket.file;
        if (ticket.state === "rejected" && !own && place?.ours && ticket.problem)
            throw fromProblem(ticket.problem);
        // A ticket for another size is of no use, whatever is remembered.
        return ticket.state === "open" && ticket.size === job.file.size ? await resign(job, id) : null;
    }
    catch (thrown) {
        const { code } = asError(thrown);
        if (code === "not-found" || code === "ticket-expired" || code === "ticket-closed")
            return null;
        if (job.signal.aborted)
            void cancel(job.desk.api, id);
        throw thrown;
    }
}
/** A new ticket. */
async function minted(job, slot) {
    const { file, name, signal, desk, options } = job;
    const digest = options.checksum && !goesInParts(slot, file) ? await hash(job) : undefined;
    job.phase("turn");
    if (signal.aborted)
        throw cancelled();
    const body = {
        slot: options.slot,
        ref: options.ref,
        files: [{ name, size: file.size, type: file.type || undefined, sha256: digest, metadata: options.metadata }],
    };
    // Repeats of one mint carry the same key, so that a lost answer does not mint twice.
    const key = (job.mintKey ??= randomKey());
    // Not aborted in flight: whoever does not read the answer cannot give the ticket back.
    const call = desk.api.call("POST", "/v1/tickets", { body, headers: { "idempotency-key": key }, offline: job.offline });
    try {
        const ticket = await unlessAborted(call.then(firstTicket), signal, ({ id }) => void cancel(desk.api, id));
        job.mintKey = null;
        return ticket.file ?? ticket;
    }
    catch (thrown) {
        if (!isForAnotherTry(asError(thrown)))
            job.mintKey = null;
        throw thrown;
    }
}
/** S3 takes a SHA-256 of the whole with a single PUT only. */
function goesInParts(slot, file) {
    return file.size > (slot?.part_size ?? 5 * 1024 ** 3);
}
async function hash(job) {
    job.phase("hashing");
    const { sha256 } = await import("./sha256.js");
    const read = sha256(job.file, job.loaded, () => job.signal.aborted);
    const digest = await read.catch(() => Promise.reject(changed()));
    if (digest === null)
        throw cancelled();
    return digest;
}
function firstTicket(answer) {
    const { tickets, errors } = objectOf(answer);
    const ticket = tickets?.[0];
    if (ticket)
        return ticket;
    const refused = errors?.[0];
    if (refused)
        throw fromProblem(refused.problem);
    throw new PutgateError("bad-answer", answer.status, "The server minted no ticket and gave no reason.");
}
function randomKey() {
    // randomUUID is missing on plain-http pages.
    return crypto.getRandomValues(new Uint8Array(16)).join("-");
}
/** `promise`, or `cancelled` as soon as the signal is aborted; what then still arrives goes to `late`. */
function unlessAborted(promise, signal, late = () => { }) {
    return new Promise((resolve, reject) => {
        const abort = () => {
            promise.then(late, () => { });
            reject(cancelled());
        };
        if (signal.aborted)
            abort();
        signal.addEventListener("abort", abort, { once: true });
        promise.then(resolve, reject).then(() => signal.removeEventListener("abort", abort));
    });
}
/** Fills the ticket; if that was `begun` before, but for what storage already has. */
async function transfer(job, id, fresh, begun, onTicket) {
    const { api } = job.desk;
    const sign = async (signal) => {
        const ticket = await resign(job, id, signal);
        onTicket(ticket);
        return ticket.transfer;
    };
    const first = fresh ?? (await sign(job.signal));
    if (first?.kind === "put") {
        job.phase("uploading");
        const signed = { ...first, good: goodUntil(api.transport.now(), first.expires_in) };
        return job.stretch((signal) => onePut(job, signed, sign, signal));
    }
    if (first?.kind !== "multipart") {
        throw new PutgateError("bad-answer", 201, "The ticket came without a transfer that this client knows.");
    }
    const { fillParts } = await import("./parts.js");
    await fillParts(job, id, first, begun, onTicket);
}
/** The ticket with a fresh transfer. */
function resign(job, id, signal = job.signal) {
    return ask(job, id, "POST", "/sign", { body: {}, signal });
}
function onePut(job, first, resign, signal) {
    const { transport } = job.desk.api;
    let signed = first;
    const sign = async (refused) => {
        if (signed === refused || transport.now() >= signed.good) {
            const asked = transport.now();
            const fresh = await resign(signal);
            if (fresh?.kind === "put")
                signed = { ...fresh, good: goodUntil(asked, fresh.expires_in) };
        }
        return signed;
    };
    return send({ transport, lanes: job.lanes, body: job.file, sign, onSent: job.loaded, signal, offline: job.offline });
}
/** Asks for the verdict until there is one. */
async function verdict({ desk: { api }, signal, offline }, id) {
    for (;;) {
        const asked = api.transport.now();
        // Every time the whole request: an attempt that ended without a decision needs another.
        const answer = await api.call("POST", `/v1/tickets/${id}/complete?wait=${WAIT}`, { signal, offline });
        const { state, file } = objectOf(answer);
        if (file)
            return file;
        if (state !== "open")
            throw new PutgateError("not-found", 404, "The file was deleted as soon as it was committed.");
        // A server that does not wait must not be asked in a tight loop.
        const pause = answer.retryAfter ?? (api.transport.now() - asked < 1000 ? 1 : 0);
        await sleep(api.transport, pause * 1000, signal);
    }
}
/** After these nobody will fill the ticket any more: it is cancelled. */
const OVER = ["cancelled", "file-changed", "storage-refused"];
/** Whether the ticket is kept for a retry: nobody has said no. */
function isForAnotherTry({ code, status }) {
    const trouble = status === 0 || status >= 500 || status === 401 || status === 429 || code === "bad-answer" || code.endsWith("-missing");
    return trouble && !OVER.includes(code);
}
/** Cancels a ticket, as well as it can; answers the file when the commit was faster. */
async function cancel(api, id) {
    try {
        await api.call("DELETE", `/v1/tickets/${id}`, { keepalive: true, once: true });
        return null;
    }
    catch {
        return whatCommitted(api, id);
    }
}
/** The ticket's file when it is known to be committed. */
async function whatCommitted(api, id) {
    try {
        return objectOf(await api.call("GET", `/v1/tickets/${id}`, { once: true })).file ?? null;
    }
    catch {
        // Its deadline ends the ticket.
        return null;
    }
}
//# sourceMappingURL=run.js.map