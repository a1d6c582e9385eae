// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the subject of these files
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compilePipeline } from "../../pipeline-compile.ts";
import { show } from "../../testing/diagnostics.ts";
import { one, stage } from "../../testing/jenkinsfiles.ts";
import { importJenkinsfile } from "./import-jenkinsfile.ts";

describe("hostile pipelines", () => {
  it.each([
    ["scripts", one(`script { ${"sh 'x'; ".repeat(20_000)} }`)],
    [
      "values of each other",
      one(
        "sh 'x'",
        `agent any\nenvironment { A0 = 'x'\n${Array.from({ length: 2000 }, (_, i) => `A${i + 1} = "\${A${i}}\${A${i}}"`).join("\n")} }`,
      ),
    ],
  ])("of many %s take time in proportion", (_, source) => {
    const { errors, source: text } = importJenkinsfile(source);
    expect(errors.length > 0 || text !== undefined).toBe(true);
  });
});

describe("any pipeline", () => {
  const text = fc.constantFrom(
    "x",
    "a b",
    "it's",
    "${{ x }}",
    "$${{",
    "3.10",
    "true",
    "- a",
    "a: b",
    "#c",
    "\\u0007",
    "ü",
    "${X}",
    "*",
    "!x",
    "",
  );
  const quoted = text.map((it) => `'${it.replaceAll("'", "\\'")}'`);
  const gstring = text.map((it) => `"${it.replaceAll(/["$]/g, "\\$&")}\${env.BUILD_ID}\${params.P}\${X}"`);
  const value = fc.oneof(quoted, gstring);
  const { step } = fc.letrec<{ step: string; steps: string }>((tie) => ({
    step: fc.oneof(
      { maxDepth: 3 },
      value.map((it) => `sh ${it}`),
      value.map((it) => `echo ${it}`),
      value.map((it) => `archiveArtifacts ${it}`),
      value.map((it) => `stash name: ${it}, includes: ${it}`),
      value.map((it) => `foo ${it}`),
      value.map((it) => `unstash ${it}`),
      value.map((it) => `git url: ${it}`),
      value.map((it) => `script { docker.build(${it}).push(${it}) }`),
      fc.tuple(value, tie("steps")).map(([it, inner]) => `dir(${it}) { ${inner} }`),
      fc.tuple(value, tie("steps")).map(([it, inner]) => `withEnv([${it}, "A=" + ${it}]) { ${inner} }`),
      fc.tuple(fc.nat(5), tie("steps")).map(([it, inner]) => `retry(${it}) { ${inner} }`),
      fc.tuple(fc.nat(90), tie("steps")).map(([it, inner]) => `timeout(${it}) { ${inner} }`),
    ),
    steps: fc.array(tie("step"), { minLength: 1, maxLength: 3 }).map((all) => all.join("\n")),
  }));
  const steps = fc.array(step, { minLength: 1, maxLength: 4 }).map((all) => `steps {\n${all.join("\n")}\n}`);
  const agent = fc.oneof(
    fc.constantFrom("agent any", "agent none", "", "agent { dockerfile true }"),
    value.map((it) => `agent { label ${it} }`),
    fc.tuple(value, value).map(([a, b]) => `agent { docker { image ${a}\nargs ${b} } }`),
  );
  const condition = fc.oneof(
    value.map((it) => `branch ${it}`),
    value.map((it) => `tag pattern: ${it}, comparator: 'REGEXP'`),
    value.map((it) => `not { anyOf { changeset ${it}\nenvironment name: 'P', value: ${it} } }`),
    value.map((it) => `expression { params.P == ${it} || !params.P }`),
  );
  const sections = fc.tuple(
    agent.map((it) => (it.includes("none") ? "" : it)),
    fc.option(
      condition.map((it) => `when { ${it} }`),
      { nil: "" },
    ),
    fc.option(
      value.map((it) => `environment { X = ${it} }`),
      { nil: "" },
    ),
    fc.option(
      step.map((it) => `post { always { ${it} }\nfailure { ${it} }\nfixed { ${it} } }`),
      { nil: "" },
    ),
    fc.option(
      value.map((it) => `input { message ${it}\nsubmitter ${it} }`),
      { nil: "" },
    ),
  );
  const leaf = fc.tuple(sections, steps).map(([all, own]) => [...all, own].join("\n"));
  const nested = fc.tuple(
    sections,
    fc.array(leaf, { minLength: 1, maxLength: 3 }),
    fc.constantFrom("stages", "parallel"),
  );
  const body = fc.oneof(
    leaf,
    nested.map(
      ([all, inner, kind]) =>
        `${all.slice(kind === "stages" ? 0 : 1).join("\n")}\n${kind} {\n${inner.map((it, i) => stage(`in${i}`, it)).join("\n")}\n}`,
    ),
    fc
      .tuple(leaf, quoted)
      .map(([inner, it]) => `matrix {\naxes { axis { name 'X'; values ${it}, 'b', 'c' } }\n${stagesOf([inner])}\n}`),
  );
  const stagesOf = (all: readonly string[]): string =>
    `stages {\n${all.map((it, i) => stage(`s ${i}`, it)).join("\n")}\n}`;
  const whole = fc
    .tuple(agent, fc.array(body, { minLength: 1, maxLength: 4 }), fc.option(step, { nil: "" }))
    .map(
      ([own, all, last]) =>
        `pipeline {\n${own === "" ? "agent any" : own}\nparameters { string(name: 'P', defaultValue: 'p') }\n${stagesOf(all)}\n${last === "" ? "" : `post { always { ${last} } }`}\n}`,
    );

  it("that Jenkins takes becomes one that compiles", () => {
    let read = 0;
    fc.assert(
      fc.property(whole, (source) => {
        const { source: out, errors } = importJenkinsfile(source);
        expect(errors.filter((it) => it.message.includes("does not fit"))).toEqual([]);
        if (out === undefined) return;
        read++;
        expect(show(compilePipeline(out).diagnostics).filter((it) => !it.includes("warning"))).toEqual([]);
        expect(importJenkinsfile(source).source).toBe(out);
      }),
      { numRuns: 200 },
    );
    expect(read).toBeGreaterThan(60);
  });
});
