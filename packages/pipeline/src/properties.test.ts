import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDeployment } from "./deployment-compile.ts";
import { type Token, tokenise, untokenise } from "./expressions.ts";
import { topologicalOrder } from "./graph.ts";
import {
  alertPolicyJsonSchema,
  deploymentJsonSchema,
  pipelineJsonSchema,
  schedulingPolicyJsonSchema,
} from "./json-schema.ts";
import { compilePipeline, lintPipeline } from "./pipeline-compile.ts";
import { parseSchedulingPolicy } from "./scheduling-policy-parse.ts";

const SEED_FILE = `name: p
parameters: { x: { type: number, default: 1 } }
env: &env { A: "\${{ parameters.x }}" }
concurrency: { group: c, limit: 2 }
jobs:
  a: { steps: [checkout, { run: "echo $A", outputs: o }], env: *env, timeout: 10m, resources: { cpu: 1, gpu: 1 } }
  b: { gang: t, priority: 5, require: ["zone in (eu, us)", ssd], prefer: [{ label: spot, weight: -5 }], near: [d], steps: [checkout] }
  c: { gang: t, apart: [p/a], spread: { over: rack, max-skew: 1 }, distinct-nodes: true, finish-within: 30m, steps: [checkout] }
  g: { needs: [a], gate: [{ metric: m, at-least: 1 }] }
  m: { needs: [{ job: a, optional: true }], matrix: { x: [1, 2], include: [{ x: 1, y: z }] }, when: { branch: main, any: [{ tag: "v*" }] }, image: "i:\${{ matrix.x }}", services: { db: { image: p, ready: { tcp: 5432 } } }, cache: [{ key: "k-\${{ hash('a') }}", paths: [b] }], post: { always: [{ run: x }] }, steps: [checkout] }
  d: { needs: [g], deploy: { name: d, model: m, version: "\${{ jobs.a.outputs.v }}", canary: { steps: [10, { weight: 50, hold: 1s }] } } }
`;

const piece = fc.oneof(
  fc.constantFrom(
    "\n",
    "  ",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "*env",
    "&a ",
    "<<: *env",
    "\t",
    "|",
    '"',
    "#",
    "? ",
    "!!x ",
    "---\n",
  ),
  fc.constantFrom(
    "$" + "{{ ",
    " }}",
    "$$" + "{{",
    "null",
    "__proto__",
    "constructor",
    "jobs",
    "needs",
    "1e999",
    "0x",
    "~",
    "@",
    "\u0000",
  ),
  fc.string({ maxLength: 8, unit: "binary" }),
);
const edit = fc.record({ at: fc.nat(SEED_FILE.length), cut: fc.nat(12), insert: piece });
const mutated = fc
  .array(edit, { minLength: 1, maxLength: 8 })
  .map((edits) =>
    edits.reduce((text, { at, cut, insert }) => text.slice(0, at) + insert + text.slice(at + cut), SEED_FILE),
  );
const anyText = fc.oneof(
  mutated,
  mutated,
  fc.string({ unit: "binary" }),
  fc.array(piece, { maxLength: 60 }).map((it) => it.join("")),
);

describe("any text", () => {
  it("gives a spec or an error, each inside of the file", () => {
    fc.assert(
      fc.property(anyText, (source) => {
        const { spec, diagnostics } = compilePipeline(source);
        expect(spec !== undefined || diagnostics.length > 0).toBe(true);
        const lines = source.split(/\r\n|\r|\n/).length;
        for (const { line, column, message } of [
          ...diagnostics,
          ...lintPipeline(source),
          ...parseDeployment(source).diagnostics,
          ...parseSchedulingPolicy(source).diagnostics,
        ]) {
          expect(line).toBeGreaterThanOrEqual(1);
          expect(line).toBeLessThanOrEqual(lines);
          expect(column).toBeGreaterThanOrEqual(1);
          expect(message).not.toBe("");
        }
      }),
      { numRuns: 600 },
    );
  });
});

describe("topologicalOrder", () => {
  const graphs = fc
    .array(fc.array(fc.nat(19), { maxLength: 4 }), { maxLength: 20 })
    .map((rows) => new Map(rows.map((needs, i) => [`j${i}`, needs.map((need) => `j${need}`)])));

  it("puts every job after its needs, or shows a cycle that is there", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const { order, cycle } = topologicalOrder(graph);
        for (const [i, job] of order.entries()) {
          for (const need of graph.get(job) ?? []) if (graph.has(need)) expect(order.indexOf(need)).toBeLessThan(i);
        }
        if (cycle === undefined) expect(new Set(order)).toEqual(new Set(graph.keys()));
        else {
          expect(cycle.length).toBeGreaterThanOrEqual(2);
          expect(cycle[0]).toBe(cycle.at(-1));
          for (const [i, need] of cycle.slice(1).entries()) expect(graph.get(cycle[i] ?? "")).toContain(need);
        }
      }),
    );
  });
});

describe("expressions", () => {
  const snippet = fc.array(fc.constantFrom("$", "{", "}", "a", "$" + "{{"), { maxLength: 8 }).map((it) => it.join(""));
  const token: fc.Arbitrary<Token> = fc.oneof(
    snippet.map((text) => ({ kind: "text" as const, text })),
    fc.constant({ kind: "lookup" as const, source: "$" + "{{ run.id }}", name: "run.id" }),
  );
  const meaning = (tokens: readonly Token[]) =>
    tokens.map((it) => (it.kind === "text" ? it.text : `<${it.kind === "lookup" ? it.name : "open"}>`)).join("");

  it("keep their meaning when text is put next to them, or are refused", () => {
    fc.assert(
      fc.property(fc.array(token, { maxLength: 6 }), (tokens) => {
        const source = untokenise(tokens);
        if (source !== undefined) expect(meaning(tokenise(source))).toBe(meaning(tokens));
      }),
    );
  });

  it("carry any text alone", () => {
    fc.assert(fc.property(snippet, (text) => untokenise([{ kind: "text", text }]) !== undefined));
  });
});

describe("the JSON schemas", () => {
  it("name every key of the languages", () => {
    expect(Object.keys(Object(pipelineJsonSchema()["properties"]))).toEqual([
      "name",
      "parameters",
      "timeout",
      "env",
      "concurrency",
      "on",
      "runs",
      "stages",
      "jobs",
    ]);
    const policies = [schedulingPolicyJsonSchema(), alertPolicyJsonSchema()];
    for (const schema of [pipelineJsonSchema(), deploymentJsonSchema(), ...policies]) {
      expect(schema["additionalProperties"]).toBe(false);
    }
    expect(pipelineJsonSchema()["required"]).toEqual(["name", "jobs"]);
    expect(deploymentJsonSchema()["required"]).toEqual(["deployment"]);
  });
});
