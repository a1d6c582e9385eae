import { isKedgeError, type KedgeError } from "@kedge/domain";
import type { JobSpec } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { RUN_FIELDS } from "./expressions.ts";
import { compilePipeline } from "./pipeline-compile.ts";
import { type ResolveContext, resolveJob } from "./resolve.ts";

const NO_RUN = Object.fromEntries(RUN_FIELDS.map((field) => [field, ""])) as ResolveContext["run"];

const context = (outputs: Record<string, string>): ResolveContext => ({
  jobs: new Map([["test", { outputs, metrics: { accuracy: 0.93 } }]]),
  run: { ...NO_RUN, id: "r1", commit: "c0ffee", ref: "refs/heads/main" },
});

const SOURCE = `
name: p
parameters: { motd: { default: "none" } }
jobs:
  test: { steps: [checkout] }
  ship:
    needs: [test]
    env: { RUN: "\${{ run.id }} of \${{run.ref}}", LITERAL: "$\${{ run.id }}", MOTD: "\${{ parameters.motd }}", version: "v \${{ run.id }}", ACC: "\${{ jobs.test.metrics.accuracy }}" }
    steps: [{ build: { tags: ["app:\${{ jobs.test.outputs.tag }}"] } }]
`;

function ship(parameters: Record<string, string> = {}): JobSpec {
  const job = compilePipeline(SOURCE, { parameters }).spec?.jobs.find((it) => it.name === "ship");
  if (job === undefined) throw new Error("the test pipeline does not compile");
  return job;
}

function failure(call: () => unknown): KedgeError {
  try {
    call();
  } catch (error) {
    if (isKedgeError(error, "INVALID_PIPELINE")) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("resolveJob", () => {
  it("fills every string field and unescapes", () => {
    const job = resolveJob(ship(), context({ tag: "1" }));
    expect(job.env).toEqual({
      RUN: "r1 of refs/heads/main",
      LITERAL: "${" + "{ run.id }}",
      MOTD: "none",
      version: "v r1",
      ACC: "0.93",
    });
    const steps = job.work.case === "steps" ? job.work.value.steps : [];
    expect(steps[0]?.action.value).toMatchObject({ tags: ["app:1"] });
  });

  it("never evaluates what a parameter or an output holds", () => {
    const evil = "${" + "{ run.id }}";
    expect(resolveJob(ship({ motd: evil }), context({ tag: "1" })).env["MOTD"]).toBe(evil);
    expect(failure(() => resolveJob(ship(), context({ tag: evil }))).message).toContain("cannot be used here");
  });

  it("names a missing output and what there is", () => {
    const error = failure(() => resolveJob(ship(), context({ other: "1" })));
    expect(error.field).toBe("jobs.ship.steps.steps[0].build.tags[0]");
    expect(error.message).toContain('the job "test" did not report outputs.tag');
    expect(error.hint).toBe("it reported other");
  });

  it.each(["a b", "x\0y", "a\nb"])("refuses %j in an image name", (tag) => {
    expect(failure(() => resolveJob(ship(), context({ tag }))).reason).toBe("INVALID_PIPELINE");
  });

  it("does not take inherited properties for outputs", () => {
    const source = SOURCE.replace("outputs.tag", "outputs.constructor");
    const job = compilePipeline(source).spec?.jobs[1];
    expect(failure(() => job && resolveJob(job, context({}))).message).toContain("did not report");
  });
});
