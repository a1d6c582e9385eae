// Imports go down the layer table only, and only to what a package declares.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./run.mjs";

const LAYERS = {
  proto: 0,
  domain: 0,
  pipeline: 0,
  scheduler: 0,
  analysis: 0,
  rollout: 0,
  kernel: 1,
  rpc: 2,
  bus: 3,
  runtime: 3,
  gateway: 3,
  "model-server": 4,
  controller: 4,
  agent: 4,
  client: 4,
  cli: 4,
};
/** What pure packages may import besides each other's base. */
const PURE_BASE = new Set(["proto", "domain"]);
const SIBLINGS_ALLOWED = new Set(["cli"]);

/** Import and export declarations, which begin a line, and dynamic imports. */
const IMPORTS = /^(?:import|export)\b[^"';]*\bfrom "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)/gm;

const problems = [];
for (const name of readdirSync(join(root, "packages"))) {
  const layer = LAYERS[name];
  if (layer === undefined) problems.push(`packages/${name} has no layer; add it to deploy/setup/lint-layers.mjs`);
  else checkPackage(name, layer);
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

function checkPackage(name, layer) {
  const manifest = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"));
  const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }));
  for (const file of sources(join(root, "packages", name, "src"))) {
    const isTest = /\.test\.ts$|\/testing\//.test(file);
    const text = readFileSync(file, "utf8");
    const shown = relative(root, file);
    for (const [, from, bare, dynamic] of text.matchAll(IMPORTS)) {
      checkImport({ name, layer, declared, isTest, shown, specifier: from ?? bare ?? dynamic });
    }
    if (layer === 0 && !isTest && /\basync\b|Date\.now\(|Math\.random\(/.test(stripComments(text))) {
      problems.push(`${shown}: pure packages have no async, clock or randomness`);
    }
  }
}

function checkImport({ name, layer, declared, isTest, shown, specifier }) {
  if (specifier.startsWith(".")) return;
  if (specifier.startsWith("node:")) {
    if (layer === 0 && !isTest) problems.push(`${shown}: pure packages do not import ${specifier}`);
    return;
  }
  const packageName = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  if (!declared.has(packageName) && packageName !== "vitest" && packageName !== `@kedge/${name}`) {
    problems.push(`${shown}: ${packageName} is not in the package's dependencies`);
  }
  const target = packageName.startsWith("@kedge/") ? packageName.slice(7) : undefined;
  if (target === undefined || target === name || isTest) return;
  const pure = layer === 0 ? PURE_BASE.has(target) : true;
  const lower = LAYERS[target] < layer || (layer === 0 && PURE_BASE.has(target));
  const sibling = LAYERS[target] === layer && layer > 0;
  if (!pure || (!lower && !(sibling && SIBLINGS_ALLOWED.has(name)))) {
    problems.push(`${shown}: ${name} (layer ${layer}) must not import ${target} (layer ${LAYERS[target]})`);
  }
}

function* sources(folder) {
  for (const entry of readdirSync(folder)) {
    const path = join(folder, entry);
    if (statSync(path).isDirectory()) yield* sources(path);
    else if (path.endsWith(".ts")) yield path;
  }
}

function stripComments(text) {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/(^|\s)\/\/.*$/gm, "$1")
    .replace(/"[^"\n]*"|`[^`]*`/g, '""');
}
