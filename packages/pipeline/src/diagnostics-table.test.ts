import { describe, expect, it } from "vitest";
import { compilePipeline, lintPipeline } from "./pipeline-compile.ts";
import { job, show } from "./testing/diagnostics.ts";

const JOB = "    steps: [checkout]";

const EXPRESSION_HINT = "only ${" + "{ parameters.x }} may be used here: the value must be known before the run starts";
const look = (name: string) => `$${`{{ ${name} }}`}`;

const BAD: readonly [title: string, source: string, expected: string[]][] = [
  ["an empty file", "", ["1:1 : must be a mapping, but is empty (write a value or remove the key)"]],
  ["a list", "- a", ["1:1 : must be a mapping, not a list"]],
  ["a missing name", `jobs:\n  a:\n${JOB}`, ['1:1 name: "name" is required: text']],
  ["no jobs", "name: p\njobs: {}", ["2:7 jobs: must not be empty"]],
  [
    "an unknown key",
    `name: p\njob:\n  a: 1\njobs:\n  a:\n${JOB}`,
    ['2:1 job: unknown key "job" (did you mean "jobs" or "on"?)'],
  ],
  [
    "a key in the wrong case",
    job("allow_failure: true", "steps: [checkout]"),
    ['4:5 jobs.a.allow_failure: unknown key "allow_failure" (did you mean "allow-failure"?)'],
  ],
  [
    "a bad pipeline name",
    `name: Vad Service\njobs:\n  a:\n${JOB}`,
    ['1:7 name: must be a pipeline name (lower-case letters, digits and inner dashes), not "Vad Service"'],
  ],
  [
    "a bad job name",
    `name: p\njobs:\n  A_b:\n${JOB}`,
    ['3:3 jobs.A_b: must be a job name (lower-case letters, digits and inner dashes), not "A_b"'],
  ],
  [
    "a duplicate key",
    job("steps: [checkout]", "steps: []"),
    ['5:5 jobs.a.steps: the key "steps" is there twice (keep one of them)'],
  ],
  [
    "an unknown need",
    `name: p\njobs:\n  build:\n${JOB}\n  b:\n    needs: [biuld]\n${JOB}`,
    ['6:13 jobs.b.needs[0]: no job is called "biuld" (did you mean "build"?)'],
  ],
  [
    "a job that needs itself",
    job("needs: [a]", "steps: [checkout]"),
    ["4:13 jobs.a.needs[0]: these jobs wait for each other: a -> a (remove one of these needs)"],
  ],
  [
    "a cycle",
    `name: p\njobs:\n  a:\n    needs: [c]\n${JOB}\n  b:\n    needs: [a]\n${JOB}\n  c:\n    needs: [b]\n${JOB}`,
    ["4:13 jobs.a.needs[0]: these jobs wait for each other: a -> c -> b -> a (remove one of these needs)"],
  ],
  [
    "a duration without unit",
    job("timeout: 10", "steps: [checkout]"),
    ["4:14 jobs.a.timeout: must be text, not 10 (write a unit or put it in quotes)"],
  ],
  [
    "a bad duration",
    job("timeout: 10 min", "steps: [checkout]"),
    ['4:14 jobs.a.timeout: must be a duration with a unit, e.g. 30s, 10m, 1h30m or 2d, not "10 min"'],
  ],
  [
    "bad quantities",
    job("resources: { cpu: 2cores, memory: 512MB, gpu: { share: 2 } }", "steps: [checkout]"),
    [
      '4:23 jobs.a.resources.cpu: must be CPU cores or thousandths of one, e.g. 2, 0.5 or 500m, not "2cores"',
      '4:39 jobs.a.resources.memory: must be an amount with the unit Mi, Gi or Ti, e.g. 512Mi or 1.5Gi, not "512MB"',
      "4:60 jobs.a.resources.gpu.share: must be at most 1, not 2",
    ],
  ],
  [
    "bad variable names",
    job("env: { KEDGE_TOKEN: x, 1A: y }", "steps: [checkout]"),
    [
      "4:12 jobs.a.env.KEDGE_TOKEN: names that begin with KEDGE_ are set by Kedge",
      '4:28 jobs.a.env.1A: must be a variable name (letters, digits and _, no leading digit), not "1A"',
    ],
  ],
  [
    "two kinds of work",
    job("steps: [checkout]", "approval: {}"),
    ["5:5 jobs.a.approval: only one of steps and approval can be given"],
  ],
  [
    "a node for a job without steps",
    job("image: x", "approval: {}"),
    ["4:5 jobs.a.image: image is for jobs with steps; this one holds no node"],
  ],
  [
    "an unknown step",
    job("steps:", "  - chekout", "  - rn: x"),
    [
      '5:9 jobs.a.steps[0]: must be checkout, not "chekout" (did you mean "checkout"?)',
      '6:9 jobs.a.steps[1].rn: unknown key "rn" (did you mean "run" or "env"?)',
      "6:9 jobs.a.steps[1]: one of run, checkout, build, model, gate is required",
    ],
  ],
  [
    "a path that leaves the workspace",
    job("steps:", "  - run: x", "    metrics: ../m.json"),
    ['6:18 jobs.a.steps[0].metrics: must be a relative path without "..", not "../m.json"'],
  ],
  [
    "a push without tags",
    job("steps: [{ build: { push: true } }]"),
    ["4:30 jobs.a.steps[0].build.push: push needs tags: the names to push to (e.g. tags: [registry.example/app:1])"],
  ],
  [
    "an image in the process runtime",
    job("runtime: process", "image: node", "steps: [checkout]"),
    [
      "4:14 jobs.a.runtime: the process runtime cannot use images, and a step or the job names or builds one (remove the image, or use runtime: docker)",
    ],
  ],
  [
    "a gate without needs",
    job("gate: [{ metric: x, at-most: 1 }]"),
    ['4:5 jobs.a.gate: a gate needs "needs" (name the jobs that report the metrics)'],
  ],
  [
    "a gate without bound",
    `${job("needs: [b]", "gate: [{ metric: x }]")}  b:\n${JOB}`,
    ["5:12 jobs.a.gate[0]: one of at-least, at-most is required"],
  ],
  [
    "an undeclared parameter",
    job(`steps: [{ run: "${look("parameters.x")}" }]`),
    ['4:20 jobs.a.steps[0].run: no parameter "x" is declared'],
  ],
  [
    "an unknown expression",
    job(`steps: [{ run: "${look("run.idd")}" }]`),
    ['4:20 jobs.a.steps[0].run: nothing is called "run.idd" (did you mean "run.id"?)'],
  ],
  [
    "an open expression",
    job(`steps: [{ run: "$${"{{ x"}" }]`),
    [`4:20 jobs.a.steps[0].run: $${"{{ has no closing }}"} (for a literal $${"{{ write $$"}${"{{"})`],
  ],
  [
    "outputs of a job that is not waited for",
    `${job(`steps: [{ run: "x", env: { V: "${look("jobs.b.outputs.v")}" } }]`)}  b:\n${JOB}`,
    ['4:35 jobs.a.steps[0].env.V: "a" does not wait for "b"; it cannot use its outputs (add b to needs)'],
  ],
  [
    "a late-bound name",
    job(`steps: [{ model: { push: "${look("run.id")}", path: m } }]`),
    [
      `4:30 jobs.a.steps[0].model.push: must be the model name (lower-case letters, digits and inner dashes), not a late-bound expression (${EXPRESSION_HINT})`,
    ],
  ],
  [
    "a deploy of a model with a port",
    job("deploy: { name: d, model: m, version: 1, port: 80 }"),
    ["4:46 jobs.a.deploy.port: port is for images; a model is served by Kedge's own server"],
  ],
  [
    "a merge that is none",
    job("<<: 5", "steps: [checkout]"),
    ["4:9 jobs.a.<<: only mappings can be merged (write <<: *anchor)"],
  ],
  [
    "an alias without anchor",
    "name: *x\njobs: { a: { approval: {} } }",
    ["1:7 name: no anchor &x comes before this alias"],
  ],
  [
    "two documents",
    "name: p\n---\nname: q\n",
    ['2:1 : the file holds more than one YAML document (remove the "---" and what follows)'],
  ],
  [
    "a reserved character",
    "name: @p\n",
    ["1:7 : not valid YAML: Plain value cannot start with reserved character @ (put the value in quotes)"],
  ],
  [
    "a control character",
    job('steps: [{ run: "a\\0b" }]'),
    ["4:20 jobs.a.steps[0].run: must not hold control characters"],
  ],
  [
    "an unused parameter",
    `name: p\nparameters:\n  x: { default: 1 }\njobs:\n  a:\n${JOB}`,
    [`3:3 parameters.x: warning: the parameter "x" is not used (use it as ${look("parameters.x")})`],
  ],
  [
    "a script with a branch name in it",
    job(`steps: [{ run: "echo ${look("run.ref")}" }]`),
    [
      `4:20 jobs.a.steps[0].run: warning: run.ref becomes part of the script, and may hold commands (set it in env, e.g. VALUE: ${look("run.ref")}, and write "$VALUE" in the script)`,
    ],
  ],
  [
    "several at once, by position",
    job("timeout: 0s", "needs: [b]", "steps: [{ run: 5 }]"),
    [
      "4:14 jobs.a.timeout: must be at least 1s (leave it out for the default)",
      '5:13 jobs.a.needs[0]: no job is called "b" (did you mean "a"?)',
      "6:20 jobs.a.steps[0].run: must be text or a mapping, not 5 (write a unit or put it in quotes)",
    ],
  ],
];

describe("lintPipeline", () => {
  it.each(BAD)("reports %s", (_title, source, expected) => {
    expect(show(lintPipeline(source))).toEqual(expected);
  });

  it("names the file", () => {
    expect(lintPipeline("x", "ci/kedge.yaml")[0]?.file).toBe("ci/kedge.yaml");
  });

  it("refuses files over 1 MiB unread", () => {
    expect(show(lintPipeline(" ".repeat(1024 * 1024 + 1)))).toEqual([
      "1:1 : the file has 1048577 bytes; at most 1048576 (1 MiB) are read",
    ]);
  });

  it.each([
    ["brackets", `name: p\nenv: ${"[".repeat(1000)}`, "2:70 : the file nests too deeply"],
    ["closing brackets", `name: p\n${"]".repeat(1000)}`, "2:1 : not valid YAML: ] that closes nothing"],
    ["line ends", "\n".repeat(500_000), "300001:1 : the file has too many parts: more than 300000 "],
  ])("refuses %s by the thousands before they are parsed", (_, source, expected) => {
    const [first, ...rest] = show(lintPipeline(source));
    expect(first).toContain(expected);
    expect(rest).toEqual([]);
  });

  it("takes brackets in texts for what they are", () => {
    const run = `jobs: { a: { steps: [{ run: "]]] [[[" }, { run: echo ${"a[".repeat(100)} }] } }`;
    expect(lintPipeline(`name: p\n${run}\n`)).not.toEqual([]);
    const block = `jobs:\n  a:\n    steps:\n      - run: |\n          [\n      - run: ${"a[".repeat(100)}\n      - run: "${"]".repeat(100)}"\n`;
    expect(lintPipeline(`name: p\n${block}`)).toEqual([]);
  });

  it.each([
    "jobs: { a: { stage: [{ x: y }], steps: [] } }",
    "jobs: { a: { stage: { x: y }, steps: [] } }",
    "stages: [{ x: y }]\njobs: { a: { stage: [{ x: y }], steps: [] } }",
    "jobs: { a: { needs: [{ job: [{ x: y }], optional: true }], steps: [] } }",
    "jobs: { a: { secrets: [{ parameter: [{ x: y }] }], steps: [] } }",
    "parameters: [{ x: y }]\njobs: { a: { matrix: [{ x: y }], steps: [{ use: [{ x: y }] }] } }",
  ])("reports mappings where a word is wanted: %s", (source) => {
    expect(lintPipeline(`name: p\n${source}\n`)).not.toEqual([]);
  });

  it("refuses alias bombs", () => {
    const levels = Array.from({ length: 12 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i}, `.repeat(10)}]`);
    const [first, ...rest] = lintPipeline(["l0: &l0 [x]", ...levels].join("\n"));
    expect(first?.message).toBe("the file holds more than 100000 values");
    expect(rest).toEqual([]);
  });

  it("refuses an anchor inside of itself", () => {
    expect(lintPipeline("name: p\nenv: &e { A: *e }\n")[0]?.message).toBe("the file nests deeper than 64 levels");
  });

  it("refuses more than 1,000 jobs", () => {
    const jobs = Array.from({ length: 1001 }, (_, i) => `  j${i}: { approval: {} }`);
    expect(show(lintPipeline(["name: p", "jobs:", ...jobs].join("\n")))).toEqual([
      "2:1 jobs: 1001 jobs are too many; at most 1000 are run",
    ]);
  });

  it("shows at most 100 findings and counts the rest", () => {
    const keys = Array.from({ length: 150 }, (_, i) => `key${i}: 1`);
    const found = lintPipeline(["name: p", "jobs: { a: { approval: {} } }", ...keys].join("\n"));
    expect(found).toHaveLength(101);
    expect(found.at(-1)?.message).toBe("50 more findings are not shown");
  });
});

describe("parameters of a run", () => {
  const source = [
    "name: p",
    "parameters:",
    "  count: { type: number }",
    "  channel: { type: choice, choices: [stable, beta], default: stable }",
    "jobs:",
    "  a:",
    "    deploy:",
    "      name: d",
    "      model: m",
    '      version: "1"',
    `      replicas: ${look("parameters.count")}`,
    `      env: { CHANNEL: "${look("params.channel")}" }`,
  ].join("\n");

  it.each<[Record<string, string>, string[]]>([
    [{}, ['3:3 parameters.count: the parameter "count" is required (give it with --param count=...)']],
    [
      { count: "two" },
      [
        '3:3 parameters.count: the parameter "count" must be a number; "two" was given (give it with --param count=...)',
      ],
    ],
    [
      { count: "2", channel: "beat" },
      [
        '4:3 parameters.channel: the parameter "channel" must be one of stable, beta; "beat" was given (give it with --param channel=...)',
      ],
    ],
    [
      { count: "2", chanel: "beta" },
      ['2:1 parameters: the pipeline has no parameter "chanel", which was given (did you mean "channel"?)'],
    ],
    [{ count: "0" }, ["11:17 jobs.a.deploy.replicas: must be at least 1, not 0"]],
    [{ count: "3" }, []],
  ])("%o", (parameters, expected) => {
    expect(show(compilePipeline(source, { parameters }).diagnostics)).toEqual(expected);
  });

  it("are not missed by lint", () => {
    expect(lintPipeline(source)).toEqual([]);
  });
});
