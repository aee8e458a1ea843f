// Writes dist/putgate-client.js, the one-file build that the server embeds and the tree keeps.
// With --check: fails when the kept file is not what the sources produce, or weighs too much.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const BUDGET = 8 * 1024;
const root = fileURLToPath(new URL("..", import.meta.url));
const kept = `${root}dist/putgate-client.js`;
const { version, license } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
const options = {
  absWorkingDir: root,
  entryPoints: ["src/index.ts"],
  outfile: kept,
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  banner: { js: `/*! putgate-client ${version} | ${license} */` },
};

const checking = process.argv.includes("--check");
const readable = await build({ ...options, write: !checking });
if (checking && readable.outputFiles[0].text !== readFileSync(kept, "utf8")) {
  fail("dist/putgate-client.js is not what src/ produces; run `npm run build` and commit it");
}
const small = await build({ ...options, minify: true, write: false });
const weight = gzipSync(small.outputFiles[0].contents, { level: 9 }).length;
console.log(`putgate-client.js: ${weight} bytes min+gzip, budget ${BUDGET}`);
if (weight > BUDGET) fail("the browser build is over its budget");

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
