const NO_ANSWER = { status: 0, text: "", retryAfter: null };
/** The browser: `fetch` for the API, `XMLHttpRequest` for bytes (fetch tells no upload progress). */
export const browser = {
    async call({ method, url, headers, body, signal, keepalive }) {
        try {
            const response = await fetch(url, {
                method,
                headers,
                body: body ?? null,
                signal,
                keepalive: keepalive ?? false,
                credentials: "same-origin",
                cache: "no-store",
            });
            return {
                status: response.status,
                text: await response.text(),
                retryAfter: seconds(response.headers.get("retry-after"), Date.now()),
            };
        }
        catch {
            return NO_ANSWER;
        }
    },
    put({ method, url, headers, body, signal, onSent }) {
        return new Promise((resolve) => {
            const xhr = new XMLHttpRequest();
            const abort = () => xhr.abort();
            const done = (answer) => {
                signal.removeEventListener("abort", abort);
                resolve(answer);
            };
            xhr.open(method, url);
            for (const [name, value] of Object.entries(headers)) {
                xhr.setRequestHeader(name, value);
            }
            // A listener on `upload` makes the request preflighted; PUT is so anyway.
            xhr.upload.onprogress = (event) => onSent(event.loaded);
            xhr.onload = () => {
                const retryAfter = xhr.getAllResponseHeaders().includes("retry-after")
                    ? seconds(xhr.getResponseHeader("retry-after"), Date.now())
                    : null;
                done({ status: xhr.status, text: xhr.responseText, retryAfter });
            };
            // Safari fires `abort` for lost connections: an abort we did not ask for is no answer either.
            xhr.onerror = xhr.ontimeout = xhr.onabort = () => done(NO_ANSWER);
            if (signal.aborted)
                return done(NO_ANSWER);
            signal.addEventListener("abort", abort);
            // Without a type the browser adds no Content-Type, and storage keeps none of the client's.
            xhr.send(body.slice(0, body.size, ""));
        });
    },
    after(milliseconds, ring) {
        const timer = setTimeout(ring, milliseconds);
        return () => clearTimeout(timer);
    },
    now: () => Date.now(),
    random: () => Math.random(),
    online: () => globalThis.navigator?.onLine !== false,
    onOnline(listener) {
        globalThis.addEventListener?.("online", listener);
        return () => globalThis.removeEventListener?.("online", listener);
    },
};
/** `Retry-After` in seconds: a number or an HTTP date (RFC 9110 §10.2.3); null when it is neither. */
export function seconds(header, now) {
    if (header === null)
        return null;
    if (/^\d+$/.test(header.trim()))
        return Number(header);
    const date = Date.parse(header);
    return Number.isNaN(date) ? null : Math.max(0, (date - now) / 1000);
}
//# sourceMappingURL=transport.js.map