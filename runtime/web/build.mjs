// Builds the page into dist/: bundles, the runtimes' WebAssembly (compressed), and the licenses of all that is in it.
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const MODULES = join(HERE, "node_modules");
const DIST = join(HERE, "dist");
const PLACE = join(HERE, ".dist.partial");

const ORT = "onnxruntime-web/dist";
const LITERT = "@litertjs/core/wasm";
const RUNTIME_FILES = [
  "lcms-wasm/dist/lcms.wasm",
  ...["", ".jspi", ".asyncify"].flatMap((kind) =>
    ["mjs", "wasm"].map((end) => `${ORT}/ort-wasm-simd-threaded${kind}.${end}`),
  ),
  ...["", "_jspi", "_threaded", "_compat"].flatMap((kind) =>
    ["js", "wasm"].map((end) => `${LITERT}/litert_wasm${kind}_internal.${end}`),
  ),
];
const LICENCES = new Set(["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "Zlib"]);

const common = {
  absWorkingDir: HERE,
  bundle: true,
  minify: true,
  target: "es2022",
  outdir: PLACE,
  metafile: true,
  legalComments: "linked",
  conditions: ["onnxruntime-web-use-extern-wasm"],
  logLevel: "warning",
};

/** The packages that a bundle holds something of. */
function packagesOf(metafile) {
  const inputs = Object.keys(metafile.inputs).filter((path) => path.includes("node_modules/"));
  return inputs.map((path) => {
    const parts = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length).split("/");
    return parts.slice(0, parts[0].startsWith("@") ? 2 : 1).join("/");
  });
}

/** Packages that come without their license's text: a file that has it. */
const TEXTS = {
  "@litertjs/core": join(HERE, "licenses", "Apache-2.0.txt"),
  "@litertjs/wasm-utils": join(HERE, "licenses", "Apache-2.0.txt"),
  "onnxruntime-web": join(HERE, "licenses", "onnxruntime-MIT.txt"),
};

/** Name, version, license and its text of a package; refuses one whose license was not looked at. */
async function licenseOf(name) {
  const folder = join(MODULES, ...name.split("/"));
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  if (!LICENCES.has(license)) throw new Error(`${name} ${version} has the license ${license}: look at it first`);
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const place = file ? join(folder, file) : TEXTS[name];
  if (!place) throw new Error(`${name} ${version} comes without the text of its license: add it to licenses/`);
  return { name, version, license, text: (await readFile(place, "utf8")).trim() };
}

async function writeLicenses(names) {
  const found = await Promise.all([...new Set(names)].sort().map(licenseOf));
  const lines = found.map((p) => `${p.name} ${p.version}: ${p.license}`);
  const texts = found.map((p) => `${"=".repeat(80)}\n${p.name} ${p.version} (${p.license})\n\n${p.text}\n`);
  const head = "What this page is made of besides clearport itself (Apache-2.0):\n\n";
  await writeFile(join(PLACE, "licenses.txt"), `${head}${lines.join("\n")}\n\n${texts.join("\n")}`);
}

/** WebAssembly is stored compressed only: the server hands it out as it is. */
async function copyRuntime(file) {
  const source = await readFile(join(MODULES, ...file.split("/")));
  if (!file.endsWith(".wasm")) return writeFile(join(PLACE, basename(file)), source);
  const packed = await promisify(gzip)(source, { level: 9 });
  return writeFile(join(PLACE, `${basename(file)}.gz`), packed);
}

/** What was built from what: the server refuses a build that is not of its own sources. */
async function writeStamp() {
  const sources = ["index.html", "style.css", "package-lock.json", "build.mjs"];
  for (const name of await readdir(join(HERE, "src"))) sources.push(`src/${name}`);
  const digest = createHash("sha256");
  for (const name of sources.sort()) digest.update(`${name}\n`).update(await readFile(join(HERE, ...name.split("/"))));
  await writeFile(join(PLACE, "sources.sha256"), `${digest.digest("hex")}\n`);
}

await rm(PLACE, { recursive: true, force: true });
await mkdir(PLACE);
const bundles = await Promise.all([
  build({
    ...common,
    entryPoints: ["src/main.ts", "src/worker_onnxruntime.ts"],
    external: ["module"], // of Node.js, which lcms-wasm asks for there alone
    format: "esm",
    splitting: true,
    chunkNames: "chunk-[hash]",
  }),
  build({ ...common, entryPoints: ["src/worker_litert.ts"], format: "iife" }),
]);
await Promise.all(RUNTIME_FILES.map(copyRuntime));
for (const name of ["index.html", "style.css"]) await cp(join(HERE, name), join(PLACE, name));
await writeLicenses(bundles.flatMap((bundle) => packagesOf(bundle.metafile)));
await writeStamp();
await rm(DIST, { recursive: true, force: true });
await rename(PLACE, DIST);
console.log(`built ${DIST.slice(DIST.lastIndexOf(`${sep}runtime${sep}`) + 1)}`);
