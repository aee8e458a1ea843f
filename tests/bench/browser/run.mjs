// How fast a big file goes: Putgate's client beside Uppy 5 and Uppy 6, unmodified, in one run on one store.
//
//   node tests/bench/browser/run.mjs [MiB] [ROUNDS]      default 128 and 3
//
// A round uploads the same file with each of them, in turn, through the same line; the median of the rounds
// counts. The line adds latency to every byte, to the store as to the servers that sign. Uppy's signing server is
// as small as can be, in this process: no database, no checks. Putgate's time ends when all bytes are at the store
// (`sent`), and, shown as well, when they are verified and committed.
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { mkdtemp, open as openFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { complete, partsOf, presign, s3 } from "../../browser/s3.mjs";
import { Line, startSite } from "../../browser/site.mjs";

const MIB = 1024 * 1024;
const PART = 8 * MIB;
const size = Number(process.argv[2] ?? 128) * MIB;
const rounds = Number(process.argv[3] ?? 3);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const esbuild = createRequire(here("../../browser/package.json"))("esbuild");

const pages = { "/": '<!doctype html><title>Bench</title><input type="file" id="file">' };
for (const name of ["uppy5", "uppy6"]) {
  execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], { cwd: here(name), stdio: "inherit" });
}
const site = await startSite("bench", { slots: '[slots.big]\nmax_file_size = "10GB"\nmax_entries = 10000\npart_size = "8MiB"', pages });
const signer = await peer(site.store, site.line.url);
const brokerLine = await Line.before(site.url);
const signerLine = await Line.before(signer.url);
const dir = await mkdtemp(join(tmpdir(), "putgate-bench-"));
const path = join(dir, "film.bin");
const file = await openFile(path, "w");
await file.truncate(size);
await file.close();
try {
  await letPagesIn();
  const contenders = {
    putgate: await bundle(`
      import { createClient } from ${JSON.stringify(here("../../../client-js/dist/index.js"))};
      const token = async () => (await (await fetch("/token?sub=bench")).json()).token;
      const client = createClient({ endpoint: ${JSON.stringify(brokerLine.url)}, token });
      window.go = async (file) => {
        const began = performance.now();
        const upload = client.upload(file, { slot: "big" });
        const sent = new Promise((resolve) => upload.addEventListener("state", () => upload.state === "verifying" && resolve(performance.now() - began)));
        await upload.done;
        return { sent: await sent, whole: performance.now() - began };
      };`, "uppy6"),
    uppy5: await bundle(uppy(`
      createMultipartUpload: () => call("create", {}),
      signPart: (file, { key, uploadId, partNumber }) => call("sign", { method: "PUT", key, uploadId, partNumber }),
      completeMultipartUpload: (file, { key, uploadId }) => call("complete", { key, uploadId }),
      listParts: () => [], abortMultipartUpload: () => {},`), "uppy5"),
    uppy6: await bundle(uppy("signRequest: (request) => call('sign', request),"), "uppy6"),
  };
  console.log(`${size / MIB} MiB in parts of ${PART / MIB} MiB, median of ${rounds}, on ${site.store.name}`);
  for (const latency of [0, 50]) {
    for (const line of [site.line, brokerLine, signerLine]) line.latency = latency / 2;
    const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
    const whole = [];
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, code] of Object.entries(contenders)) {
        const took = await run(code);
        times[name].push(took.sent);
        if (name === "putgate") whole.push(took.whole);
      }
    }
    const rate = (list) => size / MIB / (median(list) / 1000);
    console.log(`\n${latency} ms added to every round trip`);
    for (const [name, list] of Object.entries(times)) {
      console.log(`  ${name.padEnd(9)} ${rate(list).toFixed(1).padStart(7)} MiB/s   putgate is ${(rate(times.putgate) / rate(list)).toFixed(2)} times as fast`);
    }
    console.log(`  putgate, verified and committed: ${rate(whole).toFixed(1)} MiB/s`);
  }
} finally {
  await Promise.all([signer, brokerLine, signerLine].map((each) => each.close()));
  await site.stop();
  await rm(dir, { recursive: true, force: true });
}

/** One upload in a fresh page. */
async function run(code) {
  const context = await site.browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(600_000);
  try {
    await page.goto(`${site.origin}/`);
    await page.addScriptTag({ content: code, type: "module" });
    await page.waitForFunction(() => window.go !== undefined);
    await page.setInputFiles("#file", path);
    return await page.evaluate(() => window.go(document.getElementById("file").files[0]));
  } finally {
    await context.close();
  }
}

function uppy(options) {
  return `
    import { Uppy } from "@uppy/core";
    import AwsS3 from "@uppy/aws-s3";
    const call = async (what, body) => (await fetch(${JSON.stringify(signerLine.url)} + "/" + what, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })).json();
    window.go = async (data) => {
      const began = performance.now();
      const uppy = new Uppy().use(AwsS3, { shouldUseMultipart: true, getChunkSize: () => ${PART}, ${options} });
      uppy.addFile({ name: "film.bin", data });
      const { failed } = await uppy.upload();
      if (failed.length > 0) throw new Error(String(failed[0].error));
      return { sent: performance.now() - began };
    };`;
}

async function bundle(contents, at) {
  const { outputFiles } = await esbuild.build({
    stdin: { contents, resolveDir: here(at) }, bundle: true, write: false, format: "esm", minify: true, logLevel: "error",
  });
  return outputFiles[0].text;
}

/** A server that signs whatever it is asked to: what a page with Uppy has in Putgate's place. */
async function peer(store, publicEndpoint) {
  const open = { ...store, endpoint: publicEndpoint };
  let count = 0;
  const server = createServer(async (request, response) => {
    // As with any API on another origin that is spoken to in JSON, the browser asks first.
    response.setHeader("access-control-allow-origin", "*").setHeader("access-control-allow-headers", "content-type");
    response.setHeader("access-control-max-age", "7200");
    if (request.method === "OPTIONS") return response.writeHead(204).end();
    let text = "";
    for await (const piece of request) text += piece;
    const { method, key = `bench-${(count += 1)}`, uploadId, partNumber } = JSON.parse(text);
    const answer = {
      async "/create"() {
        const xml = await s3(store, "POST", `/staging/${key}`, { uploads: "" });
        return { key, uploadId: /<UploadId>([^<]+)/.exec(xml)[1] };
      },
      async "/sign"() {
        const query = uploadId === undefined ? (method === "POST" ? { uploads: "" } : {}) : { uploadId, ...(partNumber ? { partNumber: String(partNumber) } : {}) };
        return { url: presign(open, method, `/staging/${encodeURIComponent(key)}`, query) };
      },
      async "/complete"() {
        await complete(store, key, uploadId, await partsOf(store, key, uploadId));
        return {};
      },
    }[request.url];
    answer().then(
      (body) => response.end(JSON.stringify(body)),
      (error) => response.writeHead(500).end(JSON.stringify({ message: error.message })),
    );
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Uppy needs more of the bucket than Putgate does: other methods, and the ETags. */
function letPagesIn() {
  const methods = ["GET", "PUT", "POST", "DELETE"].map((method) => `<AllowedMethod>${method}</AllowedMethod>`).join("");
  const rule = `<CORSRule><AllowedOrigin>${site.origin}</AllowedOrigin>${methods}<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader></CORSRule>`;
  return s3(site.store, "PUT", "/staging", { cors: "" }, `<CORSConfiguration>${rule}</CORSConfiguration>`);
}

function median(list) {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
}
