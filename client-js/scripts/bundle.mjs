// Writes dist/, which the tree keeps: the one-file build, which the server embeds, and the types
// that tsc left in build/. With --check: fails when dist/ is not what the sources produce, or
// weighs too much.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const BUDGET = 8 * 1024;
const root = fileURLToPath(new URL("..", import.meta.url));
const dist = `${root}dist/`;
const { version, license } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
const options = {
  absWorkingDir: root,
  entryPoints: ["src/index.ts"],
  outfile: `${dist}putgate-client.js`,
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  banner: { js: `/*! putgate-client ${version} | ${license} */` },
};

const checking = process.argv.includes("--check");
const readable = await build({ ...options, write: false });
const made = new Map([["putgate-client.js", readable.outputFiles[0].text], ...types("index")]);
if (checking) {
  const names = new Set([...made.keys(), ...readdirSync(dist)]);
  for (const name of names) {
    const kept = readdirSync(dist).includes(name) ? readFileSync(dist + name, "utf8") : undefined;
    if (kept !== made.get(name)) fail(`dist/${name} is not what src/ produces; run \`npm run build\` and commit it`);
  }
} else {
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist);
  for (const [name, text] of made) writeFileSync(dist + name, text);
}
const small = await build({ ...options, minify: true, write: false });
const weight = gzipSync(small.outputFiles[0].contents, { level: 9 }).length;
console.log(`putgate-client.js: ${weight} bytes min+gzip, budget ${BUDGET}`);
if (weight > BUDGET) fail("the browser build is over its budget");

/** The declarations of a module and of those it names. */
function types(module, seen = new Map()) {
  const name = `${module}.d.ts`;
  if (seen.has(name)) return seen;
  const text = readFileSync(`${root}build/${name}`, "utf8");
  seen.set(name, text);
  for (const [, other] of text.matchAll(/from "\.\/(\w+)\.js"/g)) types(other, seen);
  return seen;
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
