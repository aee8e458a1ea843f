// What an operator can do to a bucket behind the broker's back.
import { createHash, createHmac } from "node:crypto";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
const strict = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** A request to the store, signed with its server's key; answers the body. */
export async function s3({ endpoint, region, server: [access, secret] }, method, path, query = {}, body = "") {
  const url = new URL(path, endpoint);
  const canonicalQuery = Object.keys(query).sort().map((name) => `${strict(name)}=${strict(query[name])}`).join("&");
  url.search = canonicalQuery;
  const at = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const headers = { host: url.host, "x-amz-content-sha256": sha256(body), "x-amz-date": at };
  const names = Object.keys(headers).join(";");
  const canonical = [
    method, url.pathname, canonicalQuery,
    ...Object.entries(headers).map(([name, value]) => `${name}:${value}`), "", names, headers["x-amz-content-sha256"],
  ].join("\n");
  const scope = `${at.slice(0, 8)}/${region}/s3/aws4_request`;
  const key = scope.split("/").reduce(hmac, `AWS4${secret}`);
  const signature = hmac(key, ["AWS4-HMAC-SHA256", at, scope, sha256(canonical)].join("\n")).toString("hex");
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${access}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  delete headers.host;
  const answer = await fetch(url, { method, headers, body: body || undefined });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text;
}

/** A URL that anybody may use for so many seconds. */
export function presign({ endpoint, region, server: [access, secret] }, method, path, query = {}, seconds = 900) {
  const url = new URL(path, endpoint);
  const at = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const scope = `${at.slice(0, 8)}/${region}/s3/aws4_request`;
  const full = {
    ...query, "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": `${access}/${scope}`, "X-Amz-Date": at,
    "X-Amz-Expires": String(seconds), "X-Amz-SignedHeaders": "host",
  };
  const canonicalQuery = Object.keys(full).sort().map((name) => `${strict(name)}=${strict(full[name])}`).join("&");
  const canonical = [method, url.pathname, canonicalQuery, `host:${url.host}`, "", "host", "UNSIGNED-PAYLOAD"].join("\n");
  const key = scope.split("/").reduce(hmac, `AWS4${secret}`);
  const signature = hmac(key, ["AWS4-HMAC-SHA256", at, scope, sha256(canonical)].join("\n")).toString("hex");
  return `${url.origin}${url.pathname}?${canonicalQuery}&X-Amz-Signature=${signature}`;
}

const inside = (xml, tag) => [...xml.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, "g"))].map(([, text]) => text);

/** The store's ids of the multipart uploads of a staging key. */
export async function multiparts(store, key) {
  return inside(await s3(store, "GET", "/staging", { uploads: "", prefix: key }), "UploadId");
}

export async function partsOf(store, key, uploadId) {
  const xml = await s3(store, "GET", `/staging/${key}`, { uploadId });
  const etags = inside(xml, "ETag");
  return inside(xml, "PartNumber").map((number, i) => ({ number: Number(number), etag: etags[i] }));
}

export function abort(store, key, uploadId) {
  return s3(store, "DELETE", `/staging/${key}`, { uploadId });
}

export function complete(store, key, uploadId, parts) {
  const list = parts.map(({ number, etag }) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`);
  return s3(store, "POST", `/staging/${key}`, { uploadId }, `<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`);
}

/** The keys in staging that begin so. */
export async function keys(store, prefix) {
  return inside(await s3(store, "GET", "/staging", { "list-type": "2", prefix }), "Key");
}
