import { toJson } from "@bufbuild/protobuf";
import { AnalysisSpecSchema, StrategySchema } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { parseDeployment } from "./deployment-compile.ts";
import { deploymentJsonSchema } from "./json-schema.ts";
import { show } from "./testing/diagnostics.ts";

const BASE = "deployment: vad\nimage: x\nport: 80\n";

function strategyOf(lines: string): unknown {
  const { spec, diagnostics } = parseDeployment(BASE + lines);
  expect(diagnostics).toEqual([]);
  return spec?.strategy && toJson(StrategySchema, spec.strategy);
}

const common = { progressDeadlineSeconds: 600, deadlineAction: "DEADLINE_ACTION_ABORT" };

describe("a strategy", () => {
  it("may be blue-green, which keeps the old revision for ten minutes unless told otherwise", () => {
    expect(strategyOf("blue-green:")).toEqual({ ...common, blueGreen: {}, scaleDownDelaySeconds: 600 });
    expect(strategyOf("blue-green: { preview: 5m, manual: true }\nscale-down-delay: 0s\non-deadline: pause")).toEqual({
      ...{ ...common, deadlineAction: "DEADLINE_ACTION_PAUSE", blueGreen: { previewSeconds: 300, manual: true } },
    });
  });

  it("may be rolling, by numbers or percentages", () => {
    expect(strategyOf("rolling:")).toEqual({
      ...{ ...common, rolling: { maxSurge: { count: 1 }, maxUnavailable: { count: 0 } } },
    });
    expect(strategyOf("rolling: { max-surge: 25%, max-unavailable: 2 }")).toMatchObject({
      rolling: { maxSurge: { percent: 25 }, maxUnavailable: { count: 2 } },
    });
  });

  it("may be a canary over waves of nodes, with steps that are not judged and users that stay", () => {
    const waves = "waves: [{ name: edge-eu, on: { site: 1 } }, rest], max-failed-percent: 5";
    const lines = `canary: { steps: [{ weight: 20, judged: false }], ${waves} }\nsticky: { cookie: uid }\nreplicas-per-node: 1`;
    expect(strategyOf(lines)).toEqual({
      ...common,
      sticky: { source: "REQUEST_SOURCE_COOKIE", name: "uid" },
      canary: {
        steps: [{ weightPercent: 20, unjudged: true }, { weightPercent: 100 }],
        waves: [{ name: "edge-eu", nodeSelector: { site: "1" } }, { name: "rest" }],
        maxFailedPercent: 5,
      },
    });
  });

  it("may be an A/B test, by values, prefixes or a hash", () => {
    expect(strategyOf("ab-test: { match: { header: X-Group, values: [beta, 1.10] }, run: 2d }")).toMatchObject({
      abTest: {
        match: {
          ...{ key: { source: "REQUEST_SOURCE_HEADER", name: "X-Group" }, kind: "MATCH_KIND_EXACT" },
          values: ["beta", "1.10"],
        },
        runSeconds: 172_800,
      },
    });
    expect(strategyOf("ab-test: { match: { cookie: group, prefixes: [b-] } }")).toMatchObject({
      abTest: { match: { kind: "MATCH_KIND_PREFIX", values: ["b-"] } },
    });
    expect(strategyOf("ab-test: { hash: { cookie: uid }, weight: 30, min-requests: 50 }")).toMatchObject({
      abTest: { hash: { source: "REQUEST_SOURCE_COOKIE", name: "uid" }, weightPercent: 30, minRequests: 50 },
    });
  });

  it("may say how long new replicas warm up", () => {
    expect(strategyOf("rolling:\nwarm-up: { time: 30s, requests: 50 }")).toMatchObject({
      warmUp: { seconds: 30, requests: 50 },
    });
  });

  it("may be a shadow", () => {
    expect(strategyOf("shadow: { run: 1h, mirror: 10, max-differing-percent: 0.5, promote: true }")).toMatchObject({
      shadow: {
        ...{ mirrorPercent: 10, runSeconds: 3600, minCompared: 100, maxDifferingBasisPoints: 50, promote: true },
      },
    });
  });

  it.each<[string, string[]]>([
    [
      "rolling: { max-surge: 125% }",
      ['4:23 rolling.max-surge: must be a number of replicas or a percentage, e.g. 25%, not "125%"'],
    ],
    [
      "rolling: {}\nreplicas-per-node: 1",
      [
        "4:10 rolling: rolling and replicas-per-node exclude each other (use a canary with waves to go over a fleet bit by bit)",
      ],
    ],
    [
      "rolling:\nscale-down-delay: 5m",
      ["5:19 scale-down-delay: a rolling rollout has taken the old replicas away when it ends"],
    ],
    [
      "canary: { steps: [5], waves: [rest, { name: eu, on: { site: eu } }] }\nreplicas-per-node: 1",
      [
        "4:31 canary.waves[0]: takes all nodes that are left, so it must be the last (give it labels)",
        "4:53 canary.waves[1].on: the last wave must be the nodes that are left (end with a wave without labels)",
      ],
    ],
    [
      "canary: { steps: [5], waves: [{ name: eu, on: {} }, eu] }\nreplicas-per-node: 1",
      [
        "4:47 canary.waves[0].on: takes all nodes that are left, so it must be the last (give it labels)",
        '4:53 canary.waves[1]: there is a wave "eu" already',
      ],
    ],
    [
      "canary: { steps: [5], waves: [{ name: eu, on: { site: eu } }, rest] }",
      [
        "4:30 canary.waves: waves go from node to node, so they need replicas on every node (give replicas-per-node in place of replicas)",
      ],
    ],
    [
      "canary: { steps: [5], max-failed-percent: 5 }",
      ["4:43 canary.max-failed-percent: is for waves (without waves one failed replica ends the rollout)"],
    ],
    ["ab-test: {}", ["4:10 ab-test: one of match, hash is required"]],
    ["ab-test: { match: { header: x-group } }", ["4:19 ab-test.match: one of values, prefixes is required"]],
    [
      "ab-test: { hash: { cookie: a b } }",
      [
        '4:28 ab-test.hash.cookie: "a b" is not the name of a cookie (letters, digits and !#$%&\'*+-.^_`|~ (a token of RFC 9110), 1 to 64 characters)',
      ],
    ],
    [
      "ab-test: { match: { header: a, values: [''] } }",
      ["4:41 ab-test.match.values[0]: must be 1 to 128 bytes, not 0"],
    ],
    [
      "ab-test: { hash: { cookie: u } }\nsticky: { cookie: u }",
      ["5:9 sticky: sticky and ab-test.hash exclude each other (the test's hash keeps users where they are)"],
    ],
    [
      "canary: { steps: [5], waves: [{ name: eu, on: { zone: eu } }, { name: paris, on: { zone: eu, site: paris } }, rest] }\nreplicas-per-node: 1",
      [
        '4:82 canary.waves[1].on: no node is left for it: all that have its labels are in wave "eu" (put the wave with more labels first)',
      ],
    ],
    [
      "ab-test: { hash: { header: Kedge-Revision } }",
      ["4:28 ab-test.hash.header: header kedge-revision is the gateway's own (name a header of your clients)"],
    ],
    [
      "sticky: { header: Host }",
      [
        "4:19 sticky.header: header host is about the connection and says nothing of who sends a request (name a header of your clients, e.g. x-user)",
      ],
    ],
    [
      'ab-test: { match: { cookie: g, prefixes: [a, "b;c", a, " d"] } }',
      [
        "4:46 ab-test.match.prefixes[1]: would never match: a semicolon ends a cookie's value",
        "4:53 ab-test.match.prefixes[2]: is there already",
        "4:56 ab-test.match.prefixes[3]: would never match: blanks around a value are no part of it",
      ],
    ],
    [
      "all-at-once:\nanalysis: { pass-required: true }",
      [
        "5:28 analysis.pass-required: this strategy has no step in which the judge could pass anything (use a canary, or an A/B test by hash)",
      ],
    ],
    ["warm-up: { time: 2h }", ["4:18 warm-up.time: must be at most 3600, not 7200"]],
    ["shadow: {}", ['4:1 shadow.run: "run" is required: text']],
    ["shadow: { run: 1h }\nsticky: { header: u }", ["5:9 sticky: needs a split, and this strategy has none"]],
    ["shadow: { run: 1h }\nblue-green:", ["4:1 shadow: blue-green and shadow exclude each other"]],
    ["on-deadline: stop", ['4:14 on-deadline: must be abort or pause, not "stop" (known are abort, pause)']],
  ])("is refused: %j", (lines, expected) => {
    expect(show(parseDeployment(`${BASE}${lines}\n`).diagnostics)).toEqual(expected);
  });
});

describe("an analysis", () => {
  it("holds metrics with budgets, thresholds, the action and what a pass means", () => {
    const { spec, diagnostics } = parseDeployment(`${BASE}analysis:
  metrics:
    - errors
    - predictions
    - { name: latency, tolerance: 0.2, tolerance-floor: 5 }
    - { name: gpu_ms, kind: samples, budget: 2, pass-margin: 0.2, tolerance: 0 }
    - { name: score, kind: mean, between: [0, 1], worse: lower }
  thresholds: [{ metric: latency, quantile: 0.99, at-most: 250, consecutive: 3 }]
  action: pause
  pass-margin: 0.05
  pass-required: true
  watch: 30m
`);
    expect(diagnostics).toEqual([]);
    expect(spec?.analysis && toJson(AnalysisSpecSchema, spec.analysis)).toEqual({
      ...{ alpha: 0.01, action: "ANALYSIS_ACTION_PAUSE", passMargin: 0.05, passRequired: true, watchSeconds: 1800 },
      metrics: [
        { name: "errors", kind: "METRIC_KIND_ERRORS", worseWhen: "WORSE_WHEN_HIGHER", budget: 1 },
        { name: "predictions", kind: "METRIC_KIND_PREDICTIONS", worseWhen: "WORSE_WHEN_DIFFERENT", budget: 1 },
        {
          ...{ name: "latency", kind: "METRIC_KIND_LATENCY", worseWhen: "WORSE_WHEN_HIGHER", budget: 1 },
          ...{ tolerance: 0.2, toleranceFloor: 5 },
        },
        {
          ...{ name: "gpu_ms", kind: "METRIC_KIND_SAMPLES", worseWhen: "WORSE_WHEN_HIGHER", budget: 2 },
          ...{ passMargin: 0.2, tolerance: 0 },
        },
        { name: "score", kind: "METRIC_KIND_MEAN", worseWhen: "WORSE_WHEN_LOWER", budget: 1, upper: 1 },
      ],
      thresholds: [
        { metric: "latency", quantile: 0.99, atMost: 250, windowSeconds: 60, consecutive: 3, minRequests: 20 },
      ],
    });
  });

  it.each<[string, string[]]>([
    ["metrics: [errors, errors]", ['4:31 analysis.metrics[1]: "errors" is there already']],
    [
      "metrics: [gpu]",
      [
        '4:23 analysis.metrics[0]: must be errors or latency or predictions or restarts, not "gpu" (known are errors, latency, predictions, restarts)',
      ],
    ],
    [
      "metrics: [{ name: gpu_ms }]",
      ['4:23 analysis.metrics[0]: "kind" is required: samples, mean or count, as "gpu_ms" is your own metric'],
    ],
    [
      "metrics: [{ name: score, kind: mean }]",
      ["4:23 analysis.metrics[0]: bounds of the values are needed with kind mean, the lower one first"],
    ],
    [
      "metrics: [{ name: s, kind: mean, between: [1, 0] }]",
      ["4:55 analysis.metrics[0].between: bounds of the values are needed with kind mean, the lower one first"],
    ],
    [
      "metrics: [errors, { name: my-score, kind: samples }]",
      [
        '4:39 analysis.metrics[1].name: "my-score" is not a metric name of Prometheus: letters, digits, _ and :, not a digit first',
      ],
    ],
    [
      "metrics: [restarts, { name: restarts, worse: lower }]",
      [
        "4:41 analysis.metrics[1].name: restarts is there already",
        "4:58 analysis.metrics[1].worse: it can only be worse when higher",
      ],
    ],
    [
      "metrics: [{ name: a, kind: count, worse: lower, between: [0, 1] }]",
      [
        "4:54 analysis.metrics[0].worse: it can only be worse when higher (count what is bad, or use kind mean)",
        "4:70 analysis.metrics[0].between: bounds are for kind mean",
      ],
    ],
    [
      "metrics: [{ name: a, kind: samples }], thresholds: [{ metric: a, at-most: 1 }, { metric: scor, at-most: 1 }]",
      [
        "4:65 analysis.thresholds[0]: a quantile between 0 and 1 is needed with kind samples",
        '4:102 analysis.thresholds[1].metric: "scor" is not one of the metrics that have figures for limits (errors, latency, or restarts and metrics of your own that the analysis lists)',
      ],
    ],
    [
      "metrics: [{ name: errors, tolerance: 0.1 }]",
      ["4:39 analysis.metrics[0].tolerance: tolerance is for latency, and for your own metrics of kind samples"],
    ],
    [
      "metrics: [{ name: size, kind: samples, worse: different, tolerance-floor: 3 }]",
      [
        "4:70 analysis.metrics[0].tolerance-floor: tolerance-floor needs a side to be worse on: worse is higher or lower",
      ],
    ],
    ["metrics: [{ name: latency, tolerance: -1 }]", ["4:51 analysis.metrics[0].tolerance: must be at least 0, not -1"]],
    ["thresholds: [{ metric: latency }]", ["4:26 analysis.thresholds[0]: one of at-most, at-least is required"]],
    [
      "thresholds: [{ metric: a, at-most: 1, at-least: 2 }]",
      ["4:61 analysis.thresholds[0].at-least: no value is at least 2 and at most 1"],
    ],
    ["disabled: true, pass-required: true", ["4:29 analysis.pass-required: a judge that is disabled passes nothing"]],
  ])("is refused: %j", (fields, expected) => {
    expect(show(parseDeployment(`${BASE}analysis: { ${fields} }\n`).diagnostics)).toEqual(expected);
  });

  it("has no metrics by request where users are assigned", () => {
    const lines = "sticky: { cookie: uid }\nanalysis: { metrics: [restarts, { name: a, kind: samples }] }\n";
    expect(show(parseDeployment(BASE + lines).diagnostics)).toEqual([
      "5:33 analysis.metrics[1]: metrics of your own are told by request, and this strategy assigns users at random (leave sticky out, or this metric)",
    ]);
  });

  it("may have metrics told elsewhere", () => {
    expect(parseDeployment(`${BASE}metrics-path: /prom\n`).spec?.template?.metricsPath).toBe("/prom");
    expect(show(parseDeployment("deployment: vad\nmodel: vad\nversion: 1\nmetrics-path: /prom\n").diagnostics)).toEqual(
      ["4:1 metrics-path: metrics-path is for images; a model is served by Kedge's own server"],
    );
  });
});

it("the JSON schema knows every strategy", () => {
  const { properties } = deploymentJsonSchema();
  expect(properties).toHaveProperty("ab-test.properties.hash.properties.cookie");
  expect(properties).toHaveProperty("canary.properties.waves.items.anyOf");
  expect(properties).toHaveProperty("analysis.properties.thresholds.items.properties.quantile");
});
