import { create } from "@bufbuild/protobuf";
import {
  Comparison,
  GpuRequestSchema,
  LostPolicy,
  LabelConstraint_Operator as Operator,
  ParameterType,
  PlacementSchema,
  RuntimeKind,
} from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { compilePipeline } from "./pipeline-compile.ts";

const SOURCE = `
name: vad-service
parameters:
  threshold: { type: number, default: 0.90, description: least accuracy }
timeout: 30m
env: { CI: "true", PYTHON: 3.10 }
concurrency: vad
jobs:
  rollout:
    needs: [ok]
    deploy: { name: vad, model: silero-vad, version: "\${{ jobs.test.outputs.version }}", detach: true }
  ok: { needs: [quality], approval: { message: Ship it?, timeout: 1h } }
  quality:
    needs: [test]
    gate:
      - { metric: accuracy, at-least: "\${{ params.threshold }}" }
      - { metric: latency_ms, at-most: 5, job: test, baseline: { model: silero-vad, version: promoted } }
  test: &test
    runs-on: { role: build }
    tolerations: [gpu]
    image: kedge/node:24
    require: ["zone in (eu, us)", "gpu-memory >= 40", "rack != r1", "!spot", ssd]
    prefer: [nvme, { label: "cost <= 2.5", weight: -20 }]
    near: [vad, { workload: other/fill, required: true }]
    apart: [{ workload: vad-service/bare, weight: 10 }]
    spread: { over: zone, max-skew: 1 }
    distinct-nodes: true
    priority: -5
    gang: pair
    concurrency: { group: gpu-tests, limit: 4 }
    finish-within: 25m
    resources: { cpu: 500m, memory: 1.5Gi, disk: 1Gi, gpu: { share: 0.5, memory: 8Gi }, custom: { camera: 1 } }
    queue-timeout: 1h
    retry: { attempts: 2, on-lost: hold }
    allow-failure: true
    env: { CI: "no", LEAST: "\${{ parameters.threshold }}" }
    steps:
      - checkout
      - { run: node --test, name: unit, metrics: metrics.json, outputs: out.env, timeout: 5m }
      - run: { command: [echo, 1], image: alpine }
      - build: { args: { V: 1.0 }, tags: ["app:\${{ run.commit }}"], push: true }
      - model: { push: silero-vad, path: model, tags: [candidate] }
  plain:
    <<: *test
    image: other
  bare:
    steps: [{ run: "true" }]
`;

describe("compilePipeline", () => {
  const { spec, diagnostics } = compilePipeline(SOURCE);
  const job = (name: string) => spec?.jobs.find((it) => it.name === name);

  it("finds nothing wrong", () => {
    expect(diagnostics).toEqual([]);
  });

  it("orders jobs after their needs, else as in the file", () => {
    expect(spec?.jobs.map((it) => it.name)).toEqual(["test", "plain", "bare", "quality", "ok", "rollout"]);
  });

  it("keeps parameters as written", () => {
    expect(spec?.timeoutSeconds).toBe(1800);
    expect(spec?.parameters).toMatchObject([
      { name: "threshold", type: ParameterType.NUMBER, defaultValue: "0.90", description: "least accuracy" },
    ]);
  });

  it("fills a job of steps", () => {
    expect(job("test")).toMatchObject({
      env: { CI: "no", PYTHON: "3.10", LEAST: "0.90" },
      placement: { nodeSelector: { role: "build" }, tolerations: ["gpu"] },
      resources: {
        cpuMilli: 500,
        memoryMib: 1536,
        diskMib: 1024,
        gpu: { count: 0, shareMilli: 500, memoryMib: 8192 },
        custom: { camera: 1 },
      },
      runtime: RuntimeKind.DOCKER,
      timeoutSeconds: 3600,
      queueTimeoutSeconds: 3600,
      onLost: LostPolicy.HOLD,
      maxAttempts: 2,
      allowFailure: true,
    });
    const work = job("test")?.work;
    const steps = work?.case === "steps" ? work.value.steps : [];
    expect(steps.map((it) => it.name)).toEqual(["checkout-1", "unit", "run-3", "build-4", "model-5"]);
    expect(steps.map((it) => it.action.value)).toMatchObject([
      { depth: 1, ref: "" },
      { script: "node --test" },
      { command: ["echo", "1"], image: "alpine" },
      { context: ".", dockerfile: "Dockerfile", args: { V: "1.0" }, tags: ["app:${" + "{ run.commit }}"], push: true },
      { model: "silero-vad", path: "model", tags: ["candidate"], force: false },
    ]);
    expect(steps[1]).toMatchObject({ metricsFile: "metrics.json", outputsFile: "out.env", timeoutSeconds: 300 });
  });

  it("fills where and when a job runs", () => {
    expect(job("test")?.placement).toEqual(
      create(PlacementSchema, {
        nodeSelector: { role: "build" },
        tolerations: ["gpu"],
        constraints: [
          { label: "zone", operator: Operator.IN, values: ["eu", "us"] },
          { label: "gpu-memory", operator: Operator.AT_LEAST, values: ["40"] },
          { label: "rack", operator: Operator.NOT_IN, values: ["r1"] },
          { label: "spot", operator: Operator.NOT_EXISTS },
          { label: "ssd", operator: Operator.EXISTS },
        ],
        affinities: [
          { constraint: { label: "nvme", operator: Operator.EXISTS }, weight: 50 },
          { constraint: { label: "cost", operator: Operator.AT_MOST, values: ["2.5"] }, weight: -20 },
        ],
        workloads: [
          { workload: "vad", weight: 50 },
          { workload: "other/fill", required: true },
          { workload: "vad-service/bare", apart: true, weight: 10 },
        ],
        spread: { label: "zone", maxSkew: 1 },
        distinctNodes: true,
      }),
    );
    expect(job("test")).toMatchObject({
      priority: -5,
      gang: "pair",
      concurrency: { name: "gpu-tests", limit: 4 },
      finishWithinSeconds: 1500,
    });
  });

  it("gives jobs with steps the pipeline's concurrency group when they have none", () => {
    expect(job("bare")).toMatchObject({ concurrency: { name: "vad", limit: 1 }, priority: 0, gang: "" });
    expect(job("bare")?.placement).toEqual(create(PlacementSchema));
    expect(job("ok")?.concurrency).toBeUndefined();
  });

  it.each([
    ["1", { count: 1 }],
    [
      "{ count: 4, memory: 40Gi, model: NVIDIA A100-SXM4-40GB }",
      { count: 4, memoryMib: 40_960, model: "NVIDIA A100-SXM4-40GB" },
    ],
    ["{ memory: 8Gi }", { count: 1, memoryMib: 8192 }],
    ["{ model: L4 }", { count: 1, model: "L4" }],
    ["{ share: 0.25 }", { shareMilli: 250 }],
    ["{ share: 1, memory: 8Gi, model: L4 }", { shareMilli: 1000, memoryMib: 8192, model: "L4" }],
    ["{ share: 0.0001 }", { shareMilli: 1 }],
  ])("reads the GPU request %s", (text, expected) => {
    const source = `name: p\njobs: { a: { resources: { gpu: ${text} }, steps: [checkout] } }`;
    const gpu = compilePipeline(source).spec?.jobs[0]?.resources?.gpu;
    expect(gpu).toEqual(create(GpuRequestSchema, expected));
  });

  it("fills a job with nothing but a script", () => {
    expect(job("bare")).toMatchObject({
      runtime: RuntimeKind.PROCESS,
      onLost: LostPolicy.RETRY,
      maxAttempts: 3,
      timeoutSeconds: 3600,
    });
  });

  it("merges anchors below the job's own keys", () => {
    expect(job("plain")).toMatchObject({ image: "other", maxAttempts: 2 });
  });

  it("compiles gates, approvals and deploys", () => {
    expect(job("quality")?.work.value).toMatchObject({
      rules: [
        { job: "", metric: "accuracy", comparison: Comparison.AT_LEAST, threshold: 0.9 },
        {
          job: "test",
          comparison: Comparison.AT_MOST,
          threshold: 5,
          baseline: { model: "silero-vad", version: "promoted" },
        },
      ],
    });
    expect(job("ok")?.work.value).toMatchObject({ message: "Ship it?", timeoutSeconds: 3600 });
    expect(job("rollout")?.work.value).toMatchObject({
      detach: true,
      deployment: { name: "vad", scale: { case: "replicas", value: 1 } },
    });
  });
});
