import { PutgateError, asError, cancelled } from "./errors.js";
import { Meter } from "./meter.js";
import { linked } from "./retry.js";
import { run } from "./run.js";
/** Milliseconds between two `progress` events: what a screen can show. */
const FRAME = 50;
/** What the broker, or a policy, says of the file or the slot: the same file again is of no use. */
const REFUSALS = ["content-rejected", "type-not-accepted", "file-too-large", "slot-full", "quota-exceeded", "invalid-request"];
/** The end that an error is. */
export function endOf({ code }) {
    if (REFUSALS.includes(code))
        return "rejected";
    // A later pick closed this one's ticket.
    return code === "cancelled" || code === "ticket-closed" ? "cancelled" : "failed";
}
/** Calls `onProgress` as a listener: what it throws is its own affair. */
export function hear(target, { onProgress }) {
    if (onProgress)
        target.addEventListener("progress", (event) => onProgress(event.detail));
}
let count = 0;
/** An upload: the state around its runs. */
export class FileUpload extends EventTarget {
    id = `putgate-${(count += 1)}`;
    file;
    name;
    size;
    type;
    slot;
    ref;
    result = null;
    error = null;
    progress;
    done;
    #settle;
    #desk;
    #turns;
    #options;
    #meter = new Meter();
    #job;
    #phase = "turn";
    #started = false;
    #paused = false;
    #offline = 0;
    #loaded = 0;
    #told = 0;
    /** What listeners heard last. */
    #said = "";
    #stop = new AbortController();
    /** Ends the present stretch, for a pause. */
    #stretch = null;
    /** Gives the turn to the next. */
    #leave = null;
    #wake = [];
    #onAbort = () => this.cancel();
    /** `turns` is the queue's; null: it is always this upload's turn. */
    constructor(desk, file, options, turns, lanes) {
        super();
        this.#desk = desk;
        this.#turns = turns;
        this.#options = options;
        this.file = file;
        this.name = options.name ?? file.name ?? "file";
        this.size = file.size;
        this.type = file.type;
        this.slot = options.slot;
        this.ref = options.ref;
        this.progress = this.#read();
        this.#job = this.#makeJob(lanes);
        this.#promise();
        this.#said = this.#news();
        hear(this, options);
        options.signal?.addEventListener("abort", this.#onAbort);
        if (options.autoStart !== false)
            this.start();
        if (options.signal?.aborted)
            this.cancel();
    }
    get state() {
        return this.waitingFor === null ? this.#phase : "waiting";
    }
    get waitingFor() {
        const phase = this.#phase;
        if (this.ended)
            return null;
        if (!this.#started)
            return "start";
        // What is being read or judged goes on.
        if (this.#paused && phase !== "hashing" && phase !== "verifying")
            return "resume";
        if (phase === "turn" || phase === "other-tab")
            return phase;
        return this.#offline > 0 ? "network" : null;
    }
    get paused() {
        return this.#paused;
    }
    get ended() {
        return (this.result ?? this.error) !== null;
    }
    get ticket() {
        return this.#job.ticket ?? this.result?.id ?? null;
    }
    start() {
        if (this.#started || this.ended)
            return;
        this.#started = true;
        this.#tell();
        void this.#run();
    }
    pause() {
        if (this.#paused || this.ended)
            return;
        this.#paused = true;
        this.#stretch?.abort();
        if (this.waitingFor)
            this.#leaveTurn();
        this.#meter.reset();
        this.#tell();
        this.#progress(true);
    }
    resume() {
        if (!this.#paused)
            return;
        this.#paused = false;
        this.#tell();
        this.#wake.splice(0).forEach((wake) => wake());
    }
    cancel() {
        if (this.ended)
            return;
        this.#stop.abort();
        this.#wake.splice(0).forEach((wake) => wake());
        if (!this.#started)
            this.#end(cancelled());
    }
    /** Ends it before it began, for a reason known without asking. */
    refuse(error) {
        if (this.ended || this.ticket !== null)
            return;
        this.#stop.abort(error);
        if (!this.#started)
            this.#end(error);
    }
    retry() {
        if (!this.error)
            return this.done;
        this.#stop = new AbortController();
        this.#job.signal = this.#stop.signal;
        this.#paused = false;
        this.#started = true;
        this.error = null;
        this.#phase = "turn";
        this.#loaded = 0;
        this.#promise();
        this.#options.signal?.addEventListener("abort", this.#onAbort);
        this.#progress(true);
        this.#tell();
        if (this.#options.signal?.aborted)
            this.cancel();
        void this.#run();
        return this.done;
    }
    #promise() {
        this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
        // Who listens to events need not await it.
        this.done.catch(() => { });
    }
    async #run() {
        const { signal } = this.#stop;
        try {
            this.#end(await run(this.#job));
        }
        catch (thrown) {
            const stopped = signal.reason instanceof PutgateError ? signal.reason : cancelled();
            this.#end(signal.aborted ? stopped : asError(thrown));
        }
    }
    #end(outcome) {
        this.#leaveTurn();
        this.#options.signal?.removeEventListener("abort", this.#onAbort);
        this.#offline = 0;
        const error = outcome instanceof PutgateError ? outcome : null;
        if (error) {
            this.error = error;
            this.#phase = endOf(error);
            this.#settle.reject(error);
        }
        else {
            this.result = outcome;
            this.#phase = "committed";
            this.#loaded = this.size;
            this.#settle.resolve(this.result);
        }
        this.#meter.reset();
        this.#progress(true);
        this.#tell();
        this.dispatchEvent(new CustomEvent(error ? "error" : "done", { detail: outcome }));
    }
    #makeJob(lanes) {
        return {
            desk: this.#desk,
            lanes,
            file: this.file,
            name: this.name,
            options: this.#options,
            signal: this.#stop.signal,
            ticket: null,
            delivered: null,
            mintKey: null,
            phase: (phase, loaded = 0) => {
                if (phase === this.#phase)
                    return;
                this.#phase = phase;
                this.#loaded = loaded;
                this.#meter.reset();
                if (phase === "verifying")
                    this.#sent();
                this.#progress(true);
                this.#tell();
            },
            loaded: (bytes) => {
                this.#loaded = bytes;
                this.#progress(bytes >= this.size);
            },
            offline: (waiting) => {
                // A mint that outlives its upload is heard after the end, where the count began anew.
                this.#offline = Math.max(0, this.#offline + (waiting ? 1 : -1));
                this.#tell();
            },
            turn: () => this.#takeTurn(),
            stretch: (work) => this.#inStretches(work),
        };
    }
    async #takeTurn() {
        for (;;) {
            if (this.#stop.signal.aborted)
                throw cancelled();
            if (this.#paused) {
                this.#leaveTurn();
                await new Promise((resolve) => this.#wake.push(resolve));
            }
            else if (this.#leave || !this.#turns)
                return;
            else
                this.#leave = await this.#turns.enter(this.#stop.signal);
        }
    }
    /** All bytes are there: the next may begin while this one is judged, unless they go one by one. */
    #sent() {
        if (this.#turns && this.#turns.limit > 1)
            this.#leaveTurn();
    }
    #leaveTurn() {
        this.#leave?.();
        this.#leave = null;
    }
    async #inStretches(work) {
        const outer = this.#stop.signal;
        for (;;) {
            await this.#takeTurn();
            const stretch = (this.#stretch = linked(outer));
            try {
                return await work(stretch.signal);
            }
            catch (error) {
                if (outer.aborted || !stretch.signal.aborted)
                    throw error;
            }
            finally {
                stretch.unlink();
                this.#stretch = null;
            }
        }
    }
    #news() {
        return `${this.state} ${this.waitingFor} ${this.#paused}`;
    }
    #tell() {
        const news = this.#news();
        if (news === this.#said)
            return;
        this.#said = news;
        this.dispatchEvent(new CustomEvent("state", { detail: this.state }));
    }
    #read() {
        const now = this.#desk.api.transport.now();
        return this.#meter.read(now, this.#loaded, this.size, this.#phase === "committed");
    }
    /** At most a few times a second, but for what must be shown. */
    #progress(must) {
        const now = this.#desk.api.transport.now();
        if (!must && now - this.#told < FRAME)
            return;
        this.#told = now;
        this.progress = this.#read();
        this.dispatchEvent(new CustomEvent("progress", { detail: this.progress }));
    }
}
//# sourceMappingURL=upload.js.map