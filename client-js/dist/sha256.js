/**
 * SHA-256 (FIPS 180-4) over a blob, slice by slice: WebCrypto would need the whole file in
 * memory, and is missing on plain-http pages.
 */
const SLICE = 4 * 1024 * 1024;
/** The first 32 bits of the fractional parts of the `power`-th roots of the first `count` primes. */
function rootsOfPrimes(count, power) {
    const roots = [];
    for (let n = 2; roots.length < count; n += 1) {
        let prime = true;
        for (let d = 2; d * d <= n; d += 1)
            if (n % d === 0)
                prime = false;
        if (prime)
            roots.push(((n ** (1 / power)) % 1) * 2 ** 32);
    }
    return Int32Array.from(roots, (root) => root | 0);
}
const K = rootsOfPrimes(64, 3);
const rotate = (x, by) => (x >>> by) | (x << (32 - by));
function compress(h, w, bytes, at) {
    for (let i = 0; i < 16; i += 1)
        w[i] = bytes.getInt32(at + 4 * i);
    for (let i = 16; i < 64; i += 1) {
        const x = w[i - 15];
        const y = w[i - 2];
        const s0 = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
        const s1 = rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    let [a, b, c, d, e, f, g, z] = h;
    for (let i = 0; i < 64; i += 1) {
        const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
        const t1 = (z + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
        const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
        const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        z = g;
        g = f;
        f = e;
        e = (d + t1) | 0;
        d = c;
        c = b;
        b = a;
        a = (t1 + t2) | 0;
    }
    [a, b, c, d, e, f, g, z].forEach((x, i) => (h[i] = h[i] + x));
}
/** The digest in base64; null when `stop()` answered true. Throws when the file cannot be read. */
export async function sha256(file, onHashed, stop) {
    const h = rootsOfPrimes(8, 2);
    const w = new Int32Array(64);
    const whole = file.size - (file.size % 64);
    for (let at = 0; at < whole; at += SLICE) {
        const view = new DataView(await file.slice(at, Math.min(at + SLICE, whole)).arrayBuffer());
        if (stop())
            return null;
        for (let block = 0; block < view.byteLength; block += 64)
            compress(h, w, view, block);
        onHashed(at + view.byteLength);
    }
    const rest = new Uint8Array(await file.slice(whole).arrayBuffer());
    const end = new Uint8Array(rest.length < 56 ? 64 : 128);
    end.set(rest);
    end[rest.length] = 0x80;
    const view = new DataView(end.buffer);
    view.setBigUint64(end.length - 8, BigInt(file.size) * 8n);
    for (let block = 0; block < end.length; block += 64)
        compress(h, w, view, block);
    const digest = new DataView(new ArrayBuffer(32));
    h.forEach((word, i) => digest.setInt32(4 * i, word));
    return btoa(String.fromCharCode(...new Uint8Array(digest.buffer)));
}
//# sourceMappingURL=sha256.js.map