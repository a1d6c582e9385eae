import { RuntimeKind } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { parseDeployment } from "./deployment-compile.ts";

const show = (source: string) =>
  parseDeployment(source).diagnostics.map((it) => `${it.line}:${it.column} ${it.field}: ${it.message}`);

describe("parseDeployment", () => {
  it("fills defaults of a model deployment", () => {
    const { spec, diagnostics } = parseDeployment(
      "deployment: vad\nmodel: silero\nversion: 1.10\n".replace("1.10", "promoted"),
    );
    expect(diagnostics).toEqual([]);
    expect(spec?.name).toBe("vad");
    expect(spec?.scale).toEqual({ case: "replicas", value: 1 });
    expect(spec?.template?.source).toMatchObject({ case: "model", value: { model: "silero", version: "promoted" } });
    expect(spec).toMatchObject({ priority: 0, placement: { constraints: [], workloads: [], distinctNodes: false } });
    expect(spec?.template).toMatchObject({
      runtime: RuntimeKind.PROCESS,
      healthPath: "/v2/health/ready",
      startTimeoutSeconds: 60,
    });
    expect(spec?.analysis).toMatchObject({ alpha: 0.01, disabled: false });
    expect(spec?.strategy?.progressDeadlineSeconds).toBe(600);
  });

  it("reads an image deployment and adds the step of 100 %", () => {
    const { spec } = parseDeployment(`
deployment: web
image: registry.example/web:1
port: 8080
env: { PYTHON: 3.10, DEBUG: true }
on: { zone: 1 }
require: ["gpu-memory >= 40"]
prefer: [{ label: spot, weight: -10 }]
apart: [{ workload: vad, required: true }]
priority: 10
replicas-per-node: 2
canary: { steps: [5, { weight: 50, hold: 1m30s, min-requests: 200, manual: true }] }
progress-deadline: 5m
analysis: { alpha: 0.05 }
`);
    expect(spec?.template?.runtime).toBe(RuntimeKind.DOCKER);
    expect(spec?.template?.env).toEqual({ PYTHON: "3.10", DEBUG: "true" });
    expect(spec?.placement).toMatchObject({
      nodeSelector: { zone: "1" },
      constraints: [{ label: "gpu-memory", values: ["40"] }],
      affinities: [{ constraint: { label: "spot" }, weight: -10 }],
      workloads: [{ workload: "vad", apart: true, required: true, weight: 0 }],
    });
    expect(spec?.priority).toBe(10);
    expect(spec?.scale).toEqual({ case: "replicasPerNode", value: 2 });
    const steps = spec?.strategy?.kind.case === "canary" ? spec.strategy.kind.value.steps : [];
    expect(steps.map((it) => [it.weightPercent, it.holdSeconds, it.minRequests, it.manual])).toEqual([
      [5, 0, 0, false],
      [50, 90, 200, true],
      [100, 0, 0, false],
    ]);
  });

  it("takes all-at-once with and without a value", () => {
    for (const value of ["", " {}"]) {
      const { spec } = parseDeployment(`deployment: web\nimage: x\nport: 80\nall-at-once:${value}\n`);
      expect(spec?.strategy?.kind.case).toBe("allAtOnce");
    }
  });

  it.each<[string, string[]]>([
    ["deployment: vad\n", ["1:1 : one of model, image is required"]],
    ["deployment: vad\nmodel: m\n", ['1:1 : "version" is required: the number or tag of the model version']],
    ["deployment: vad\nimage: x\n", ['1:1 : "port" is required with image: the port the container listens on']],
    [
      "deployment: vad\nmodel: m\nversion: 1\nport: 80\n",
      ["4:1 port: port is for images; a model is served by Kedge's own server"],
    ],
    ["deployment: vad\nimage: x\nport: 80\nruntime: process\n", ["4:10 runtime: an image needs the docker runtime"]],
    ["deployment: vad\nimage: x\nport: 80\nreplicas: 0\n", ["4:11 replicas: must be at least 1, not 0"]],
    [
      "deployment: vad\nimage: x\nport: 80\nreplicas: 1\nreplicas-per-node: 1\n",
      ["5:1 replicas-per-node: replicas and replicas-per-node exclude each other"],
    ],
    [
      "deployment: vad\nimage: x\nport: 80\ncanary: { steps: [20, 20] }\n",
      ["4:23 canary.steps[1]: weights must ascend: 20 comes after 20"],
    ],
    [
      "deployment: vad\nimage: x\nport: 80\ncanary: { steps: [101] }\n",
      ["4:19 canary.steps[0]: must be at most 100, not 101"],
    ],
    [
      "deployment: vad\nimage: x\nport: 80\nanalysis: { alpha: 0 }\n",
      ["4:20 analysis.alpha: must be more than 0, not 0"],
    ],
    [
      "deployment: vad\nimage: x\nport: 80\nanalysis: { alpha: 0.6 }\n",
      ["4:20 analysis.alpha: must be at most 0.5, not 0.6"],
    ],
    [
      `deployment: vad\nimage: "x:$${"{{ run.id }}"}"\nport: 80\n`,
      [`2:8 image: a deployment file has no expressions: "$${"{{ run.id }}"}"`],
    ],
  ])("%j", (source, expected) => {
    expect(show(source)).toEqual(expected);
  });
});
