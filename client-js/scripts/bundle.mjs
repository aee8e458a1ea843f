// Writes dist/, which the tree keeps: the modules that tsc left in build/, with their types and
// source maps, and two builds in one file each, which the server embeds: putgate-client.js, and
// putgate-upload.js with the element and the binding by attributes. With --check: fails when
// dist/ is not what the sources produce, or weighs too much.
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = `${root}dist/`;
const { version, license } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
const common = { absWorkingDir: root, bundle: true, format: "esm", target: "es2022", charset: "utf8", write: false };
/** What is fetched when it is needed: parts for large files, memory across reloads, checksums. */
const later = ["./parts.js", "./resume.js", "./sha256.js"];
/** Bytes of min+gzip. */
const budgets = [
  { name: "the core (putgate-client)", entry: "build/index.js", external: later, most: 8 * 1024 },
  { name: "everything in one file", entry: "build/index.js", external: [], most: 11 * 1024 },
  { name: "the element and the binding (putgate-client/ui)", entry: "build/ui/index.js", external: ["../index.js"], most: 9 * 1024 },
  { name: "the hook (putgate-client/react)", entry: "build/react.js", external: ["react", "./*"], most: 2 * 1024 },
  { name: "the verdict in Uppy (putgate-client/uppy)", entry: "build/uppy.js", external: [], most: 1024 },
];

const made = new Map();
for (const name of filesIn(`${root}build/`)) {
  if (!name.endsWith(".d.ts.map")) made.set(name, readFileSync(`${root}build/${name}`, "utf8"));
}
for (const [entry, name] of [["src/index.ts", "putgate-client.js"], ["src/ui/auto.ts", "putgate-upload.js"]]) {
  const one = await build({
    ...common,
    entryPoints: [entry],
    outfile: `${dist}${name}`,
    sourcemap: "linked",
    sourcesContent: true,
    banner: { js: `/*! putgate-client ${version} | ${license} */` },
  });
  for (const { path, text } of one.outputFiles) made.set(path.slice(dist.length), text);
}

if (process.argv.includes("--check")) {
  const kept = filesIn(dist);
  for (const name of new Set([...made.keys(), ...kept])) {
    const same = kept.includes(name) && readFileSync(dist + name, "utf8") === made.get(name);
    if (!same) fail(`dist/${name} is not what src/ produces; run \`npm run build\` and commit it`);
  }
} else {
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist);
  for (const [name, text] of made) {
    mkdirSync(dirname(dist + name), { recursive: true });
    writeFileSync(dist + name, text);
  }
}

for (const { name, entry, external, most } of budgets) {
  const small = await build({ ...common, entryPoints: [entry], external, minify: true });
  const weight = gzipSync(small.outputFiles[0].contents, { level: 9 }).length;
  console.log(`${name}: ${weight} bytes min+gzip, at most ${most}`);
  if (weight > most) fail(`${name} is over its budget`);
}

/** Every file below a folder, by its path from there. */
function filesIn(folder) {
  return readdirSync(folder, { recursive: true }).filter((name) => statSync(folder + name).isFile());
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
