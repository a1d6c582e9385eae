import { describe, expect, it } from "vitest";
import { parseDeployment } from "./deployment-compile.ts";
import { compilePipeline, lintPipeline } from "./pipeline-compile.ts";
import { job, show } from "./testing/diagnostics.ts";

const WORK = "steps: [checkout]";
const NAME_FORM = "(lower-case letters, digits and inner dashes)";

/** A pipeline of these jobs, one a line from line 3 on. */
function jobs(...lines: string[]): string {
  return ["name: p", "jobs:", ...lines.map((line) => `  ${line}`), ""].join("\n");
}

const PLACEMENT: readonly [title: string, lines: string[], expected: string[]][] = [
  [
    "a condition cut by its comma",
    ["require: [zone in (eu, us)]"],
    [
      "4:15 jobs.a.require[0]: must end with the list's closing parenthesis (inside of [ ] put the condition in quotes; a comma ends it there)",
      '4:28 jobs.a.require[1]: must be one condition, not "us)" (e.g. zone = eu, zone in (eu, us), zone not in (eu, us), gpu-memory >= 40, ssd or !spot)',
    ],
  ],
  [
    "a condition that YAML takes for a tag",
    ["require: [!spot]"],
    ["4:15 : not valid YAML: Unresolved tag: !spot (put a value that begins with ! in quotes)"],
  ],
  [
    "an order without a number",
    ['require: [ssd, "gpu-memory >= 40Gi"]'],
    [
      '4:20 jobs.a.require[1]: must compare gpu-memory with a number, not "40Gi" (labels are compared as plain decimal numbers, e.g. gpu-memory >= 40)',
    ],
  ],
  [
    "a condition that is a number",
    ["require: [5]"],
    ["4:15 jobs.a.require[0]: must be text, not 5 (write a unit or put it in quotes)"],
  ],
  [
    "a condition for later",
    [`require: ["zone = $${"{{ run.ref }}"}"]`],
    [
      `4:15 jobs.a.require[0]: must be a condition on a label, not a late-bound expression (only $${"{{ parameters.x }}"} may be used here: the value must be known before the run starts)`,
    ],
  ],
  [
    "a condition that is there twice",
    ['require: ["zone in (eu, us)", "zone in (us, eu)"]'],
    ['4:35 jobs.a.require[1]: "zone in (eu, us)" is required already (keep one of them)'],
  ],
  [
    "conditions that exclude each other",
    ['require: [ssd, "size >= 40", "size <= 30"]'],
    ['4:34 jobs.a.require[2]: no node can meet "size <= 30" together with "size >= 40" (remove one of them)'],
  ],
  [
    "a condition against runs-on",
    ["runs-on: { zone: eu }", 'require: ["zone != eu"]'],
    ['5:15 jobs.a.require[0]: no node can meet "zone != eu" together with "zone = eu" (remove one of them)'],
  ],
  [
    "a wish that is required",
    ["require: [ssd]", "prefer: [ssd]"],
    ['5:14 jobs.a.prefer[0]: "ssd" is required already (remove this one)'],
  ],
  [
    "a wish that is there twice",
    ["prefer: [ssd, { label: ssd }]"],
    ['4:19 jobs.a.prefer[1]: "ssd" is preferred already (remove this one)'],
  ],
  [
    "a wish that no node can have",
    ["require: [ssd]", 'prefer: ["!ssd"]'],
    ['5:14 jobs.a.prefer[0]: no node can have "!ssd" together with "ssd" (remove one of them)'],
  ],
  [
    "weights that decide nothing or too much",
    ["prefer: [{ label: ssd, weight: 0 }, { label: spot, weight: -101 }]"],
    [
      "4:36 jobs.a.prefer[0].weight: a weight of 0 prefers nothing (1 to 100, or -1 to -100)",
      "4:64 jobs.a.prefer[1].weight: must be at least -100, not -101",
    ],
  ],
  ["no workload", ["near: [Vad]"], ['4:12 jobs.a.near[0]: must be a deployment or <pipeline>/<job>, not "Vad"']],
  [
    "a workload near and apart",
    ["near: [vad, other/test, vad]", "apart: [{ workload: other/test, required: true }]"],
    [
      '4:29 jobs.a.near[2]: "vad" is there twice (keep one of them)',
      '5:13 jobs.a.apart[0]: cannot be near and apart from "other/test" (keep one of them)',
    ],
  ],
  [
    "a condition with a weight",
    ["near: [{ workload: vad, required: true, weight: 5 }]"],
    ["4:45 jobs.a.near[0].weight: a condition has no weight (remove weight or required)"],
  ],
  [
    "a job of this pipeline that is not there",
    ["apart: [p/b]"],
    ['4:13 jobs.a.apart[0]: no job is called "b" (did you mean "a"?)'],
  ],
  [
    "a spread over one value",
    ["runs-on: { zone: eu }", "spread: zone"],
    ['5:13 jobs.a.spread: there is only one zone to spread over: "zone = eu" is required'],
  ],
  [
    "a spread without skew",
    ["spread: { over: zone, max-skew: 0, by: 1 }"],
    [
      "4:37 jobs.a.spread.max-skew: must be at least 1, not 0",
      '4:40 jobs.a.spread.by: unknown key "by" (known are over, max-skew)',
    ],
  ],
  ["a priority out of range", ["priority: 101"], ["4:15 jobs.a.priority: must be at most 100, not 101"]],
  [
    "a group that is no name",
    ["concurrency: Prod"],
    [`4:18 jobs.a.concurrency: must be a group name ${NAME_FORM}, not "Prod"`],
  ],
  [
    "a group without its name",
    ["concurrency: { grp: x, limit: 0 }"],
    [
      '4:5 jobs.a.concurrency.group: "group" is required: text',
      '4:20 jobs.a.concurrency.grp: unknown key "grp" (did you mean "group"?)',
      "4:35 jobs.a.concurrency.limit: must be at least 1, not 0",
    ],
  ],
  [
    "a GPU that is counted and shared",
    ["resources: { gpu: { count: 2, share: 0.5, model: '' } }"],
    [
      "4:35 jobs.a.resources.gpu.share: count and share exclude each other (share is a part of one device)",
      "4:54 jobs.a.resources.gpu.model: must not be empty",
    ],
  ],
  [
    "a deadline after the run's end",
    ["finish-within: 2h"],
    ["4:20 jobs.a.finish-within: warning: the run is ended before that, after 3600 s (raise the pipeline's timeout)"],
  ],
];

describe("placement", () => {
  it.each(PLACEMENT)("refuses %s", (_title, lines, expected) => {
    expect(show(lintPipeline(job(...lines, WORK)))).toEqual(expected);
  });
});

const BETWEEN: readonly [title: string, source: string, expected: string[]][] = [
  [
    "a neighbour that holds no node",
    jobs("a: { near: [p/ok, p/b, q/ok], steps: [checkout] }", "ok: { approval: {} }", "b: { steps: [checkout] }"),
    ['3:15 jobs.a.near[0]: "ok" holds no node (only jobs with steps do)'],
  ],
  [
    "a gang of one",
    jobs("a: { gang: g, steps: [checkout] }"),
    [
      '3:14 jobs.a.gang: warning: the gang "g" has one job only, which starts as it would without (name it in the jobs that start together)',
    ],
  ],
  [
    "a gang of one that is misspelt",
    jobs("a: { gang: train, steps: [checkout] }", "b: { gang: trian, steps: [checkout] }"),
    [
      '3:14 jobs.a.gang: warning: the gang "train" has one job only, which starts as it would without (did you mean "trian"?)',
      '4:14 jobs.b.gang: warning: the gang "trian" has one job only, which starts as it would without (did you mean "train"?)',
    ],
  ],
  [
    "a gang whose jobs wait for each other",
    jobs(
      "a: { gang: g, steps: [checkout] }",
      "b: { needs: [c], gang: g, steps: [checkout] }",
      "c: { needs: [a], steps: [checkout] }",
    ),
    [
      '4:8 jobs.b.needs: "b" waits for "a", and both are of one gang, whose jobs start together (remove the need, or take one of them out of the gang)',
    ],
  ],
  [
    "a gang with different needs",
    jobs(
      "x: { steps: [checkout] }",
      "a: { needs: [x], gang: g, steps: [checkout] }",
      "b: { gang: g, steps: [checkout] }",
    ),
    [
      '5:3 jobs.b.needs: the jobs of a gang must need the same, but "a" needs x and "b" nothing (give both the same needs: they start together)',
    ],
  ],
  [
    "a gang larger than its group",
    jobs("a: &a { gang: g, concurrency: gpu, steps: [checkout] }", "b: *a", "c: { <<: *a, concurrency: other }"),
    [
      '3:17 jobs.a.gang: warning: 2 jobs of the gang "g" are in the group "gpu", which lets 1 run at once: they cannot start together (raise the group\'s limit to 2)',
    ],
  ],
  [
    "a gang larger than the group of the pipeline",
    `concurrency: { group: gpu, limit: 2 }\n${jobs("a: &a { gang: g, steps: [checkout] }", "b: *a", "c: *a")}`,
    [
      '4:17 jobs.a.gang: warning: 3 jobs of the gang "g" are in the group "gpu", which lets 2 run at once: they cannot start together (raise the group\'s limit to 3)',
    ],
  ],
  [
    "different limits of one group",
    `concurrency: gpu\n${jobs("a: { concurrency: { group: gpu, limit: 2 }, steps: [checkout] }", "b: { concurrency: x, steps: [checkout] }", "c: { concurrency: { group: x, limit: 1 }, steps: [checkout] }")}`,
    [
      '4:21 jobs.a.concurrency: the group "gpu" has a limit of 2 here and of 1 at concurrency (give the same limit everywhere; without one it is 1)',
    ],
  ],
  [
    "a deadline before that of a need",
    jobs(
      "a: { finish-within: 20m, steps: [checkout] }",
      "b: { needs: [a], steps: [checkout] }",
      "c: { needs: [b], finish-within: 10m, steps: [checkout] }",
    ),
    [
      '5:35 jobs.c.finish-within: warning: "c" waits for "a", which may take until 1200 s (give a the earlier deadline)',
    ],
  ],
  [
    "a place for a job without node",
    jobs(
      "a: { require: [ssd], priority: 3, gang: g, concurrency: x, finish-within: 1m, near: [v], spread: zone, distinct-nodes: true, approval: {} }",
    ),
    [
      "3:8 jobs.a.require: require is for jobs with steps; this one holds no node",
      "3:24 jobs.a.priority: priority is for jobs with steps; this one holds no node",
      "3:37 jobs.a.gang: gang is for jobs with steps; this one holds no node",
      "3:46 jobs.a.concurrency: concurrency is for jobs with steps; this one holds no node",
      "3:62 jobs.a.finish-within: finish-within is for jobs with steps; this one holds no node",
      "3:81 jobs.a.near: near is for jobs with steps; this one holds no node",
      "3:92 jobs.a.spread: spread is for jobs with steps; this one holds no node",
      "3:106 jobs.a.distinct-nodes: distinct-nodes is for jobs with steps; this one holds no node",
    ],
  ],
  [
    "a place for a job that deploys",
    jobs("a:", "  runs-on: { zone: eu }", "  priority: 5", "  gang: g", "  deploy: { name: d, model: m, version: 1 }"),
    [
      "4:5 jobs.a.runs-on: runs-on is for jobs with steps; this one holds no node (for its replicas write on under deploy)",
      "5:5 jobs.a.priority: priority is for jobs with steps; this one holds no node (for its replicas write priority under deploy)",
      "6:5 jobs.a.gang: gang is for jobs with steps; this one holds no node",
    ],
  ],
];

describe("between jobs", () => {
  it.each(BETWEEN)("finds %s", (_title, source, expected) => {
    expect(show(lintPipeline(source))).toEqual(expected);
  });

  it("refuses a gang of more than 64", () => {
    const members = Array.from({ length: 65 }, (_, i) => `j${i}: { gang: g, steps: [checkout] }`);
    expect(show(lintPipeline(jobs(...members)))).toEqual([
      '67:16 jobs.j64.gang: the gang "g" has 65 jobs; at most 64 start together',
    ]);
  });

  it("judges nothing that depends on a value that is not known", () => {
    const parameters = "parameters: { x: {}, n: { type: number } }";
    const x = `"$${"{{ parameters.x }}"}"`;
    const n = `"$${"{{ parameters.n }}"}"`;
    const lines = [
      `a: { gang: ${x}, concurrency: { group: c, limit: ${n} }, require: [${x}, "zone = ${x.slice(1, -1)}"], steps: [checkout] }`,
      `b: { gang: g, concurrency: { group: c, limit: 3 }, require: ["zone in (eu, us)"], steps: [checkout] }`,
      `c: { runs-on: { zone: ${x} }, require: ["zone in (eu, us)"], near: [${x}], steps: [checkout] }`,
    ];
    const source = `${parameters}\n${jobs(...lines)}`;
    expect(show(lintPipeline(source))).toEqual([]);
    expect(show(compilePipeline(source, { parameters: { x: "g", n: "2" } }).diagnostics)).toEqual([
      '6:60 jobs.c.require[0]: no node can meet "zone in (eu, us)" together with "zone = g" (remove one of them)',
    ]);
  });
});

const DEPLOYMENT: readonly [title: string, line: string, expected: string[]][] = [
  [
    "conditions that exclude each other",
    'on: { zone: eu }\nrequire: ["!zone"]',
    ['5:11 require[0]: no node can meet "!zone" together with "zone = eu" (remove one of them)'],
  ],
  [
    "a spread of replicas per node",
    "replicas-per-node: 1\nspread: zone",
    ["5:1 spread: spread and replicas-per-node exclude each other (write replicas: the number in all)"],
  ],
  [
    "several replicas on distinct nodes",
    "replicas-per-node: 2\ndistinct-nodes: true",
    [
      "5:1 distinct-nodes: distinct-nodes allows one replica a node, and replicas-per-node asks for 2 (write replicas: the number in all)",
    ],
  ],
  ["a priority that is no number", "priority: high", ['4:11 priority: must be a number, not "high"']],
  [
    "a job's key",
    "runs-on: { zone: eu }",
    [
      '4:1 runs-on: unknown key "runs-on" (known are deployment, model, version, image, port, health-path, metrics-path, start-timeout, runtime, resources, env, on, tolerations, require, prefer, near, apart, spread, distinct-nodes, priority, replicas, replicas-per-node, canary, all-at-once, blue-green, rolling, ab-test, shadow, sticky, progress-deadline, on-deadline, warm-up, scale-down-delay, analysis)',
    ],
  ],
];

describe("a deployment", () => {
  it.each(DEPLOYMENT)("is refused with %s", (_title, lines, expected) => {
    expect(show(parseDeployment(`deployment: d\nmodel: m\nversion: 1\n${lines}\n`).diagnostics)).toEqual(expected);
  });
});
