// Compile times of large pipelines, next to the time the YAML parser alone takes on the same text.
// Run: node -C kedge-source packages/pipeline/bench/compile.mjs
import { compilePipeline } from "@kedge/pipeline";
import { parseDocument } from "yaml";

const ROUNDS = 7;

/** Layers of ten jobs, each job after all of the layer before. */
function source(jobs) {
  const lines = ["name: bench", "parameters: { image: { default: node } }", "jobs:"];
  for (let i = 0; i < jobs; i++) {
    const layer = Math.floor(i / 10);
    const needs = layer === 0 ? [] : Array.from({ length: 10 }, (_, k) => `j${(layer - 1) * 10 + k}`);
    lines.push(
      `  j${i}:`,
      `    needs: [${needs.join(", ")}]`,
      `    image: \${{ parameters.image }}`,
      "    resources: { cpu: 500m, memory: 512Mi }",
      "    steps:",
      "      - checkout",
      "      - { run: node --test, name: unit, outputs: out.env }",
    );
    if (layer > 0) lines.push(`    env: { FROM: "\${{ jobs.${needs[0]}.outputs.version }}" }`);
  }
  return `${lines.join("\n")}\n`;
}

/** Median milliseconds of some work that has to succeed. */
function median(work) {
  const times = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  }).sort((a, b) => a - b);
  return times[Math.floor(ROUNDS / 2)];
}

/** One job of 1,000 combinations. */
function matrix() {
  const axis = `[${Array.from({ length: 10 }, (_, i) => `v${i}`).join(", ")}]`;
  const work = `    image: node:\${{ matrix.a }}\n    resources: { cpu: 500m }\n    steps: [checkout, { run: node --test }]`;
  return `name: bench\njobs:\n  test:\n    matrix: { a: ${axis}, b: ${axis}, c: ${axis} }\n${work}\n`;
}

const files = [10, 100, 1000].map((jobs) => ({ jobs, text: source(jobs), name: `${jobs} jobs` }));
for (const { jobs, text, name } of [...files, { jobs: 1000, text: matrix(), name: "a matrix of 1000 jobs" }]) {
  const compile = median(() => {
    const { spec, diagnostics } = compilePipeline(text);
    if (spec?.jobs.length !== jobs || diagnostics.length > 0)
      throw new Error(`it did not compile: ${diagnostics[0]?.message}`);
  });
  const parse = median(() => {
    if (parseDocument(text, { uniqueKeys: false }).errors.length > 0) throw new Error("it did not parse");
  });
  console.log(
    `${name}, ${(text.length / 1024).toFixed(0)} KiB: compile ${compile.toFixed(1)} ms, YAML parse alone ${parse.toFixed(1)} ms, ratio ${(compile / parse).toFixed(2)}`,
  );
}
