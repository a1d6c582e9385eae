import { create } from "@bufbuild/protobuf";
import { type Job, JobSchema, JobState, RunOn } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { conditionVerdict, needsVerdict } from "./needs.ts";

interface Fields {
  readonly needs?: string[];
  readonly optional?: string[];
  readonly runOn?: RunOn;
  readonly allowFailure?: boolean;
}

function job(name: string, state: JobState, { needs = [], optional = [], runOn, allowFailure }: Fields = {}): Job {
  const spec = { name, needs, optionalNeeds: optional, runOn: runOn ?? 0, allowFailure: allowFailure ?? false };
  return create(JobSchema, { spec, state });
}

/** The verdict on a job that needs one job in this state. */
function verdict(need: Job, fields: Fields, others: readonly Job[] = []): string {
  const it = job("it", JobState.WAITING, { needs: ["need"], ...fields });
  const jobs = new Map([...others, need, it].map((known) => [known.spec?.name ?? "", known]));
  const found = needsVerdict(it, jobs);
  return found.kind === "skipped" ? found.reason : found.kind;
}

const [success, failure, always] = [{ runOn: RunOn.SUCCESS }, { runOn: RunOn.FAILURE }, { runOn: RunOn.ALWAYS }];
const NONE_FAILED = "it runs on failure, and none of its needs failed";

describe("what the end of a need makes of a job", () => {
  it.each([
    ["succeeded", job("need", JobState.SUCCEEDED), "runs", NONE_FAILED, "runs"],
    ["failed", job("need", JobState.FAILED), "need did not succeed", "runs", "runs"],
    ["failed as it may", job("need", JobState.FAILED, { allowFailure: true }), "runs", NONE_FAILED, "runs"],
    ["was cancelled", job("need", JobState.CANCELLED), "need was cancelled", "runs", "runs"],
    ["was skipped", job("need", JobState.SKIPPED), "need was skipped", NONE_FAILED, "runs"],
    ["waits", job("need", JobState.WAITING), "waits", "waits", "waits"],
    ["is held", job("need", JobState.HELD), "waits", "waits", "waits"],
    ["runs", job("need", JobState.RUNNING), "waits", "waits", "waits"],
  ])("that %s", (_, need, onSuccess, onFailure, onAlways) => {
    const verdicts = [success, failure, always].map((fields) => verdict(need, fields));
    expect(verdicts).toEqual([onSuccess, onFailure, onAlways]);
    expect(verdict(need, {})).toBe(onSuccess);
  });

  it("that may be skipped", () => {
    const need = job("need", JobState.SKIPPED);
    expect(verdict(need, { optional: ["need"] })).toBe("runs");
    expect(verdict(need, { ...failure, optional: ["need"] })).toBe(NONE_FAILED);
    expect(verdict(job("need", JobState.FAILED), { optional: ["need"] })).toBe("need did not succeed");
  });

  it("that was skipped after a failure counts as failed to what runs on failure", () => {
    const need = job("need", JobState.SKIPPED, { needs: ["middle"] });
    const chain = (first: JobState) => [job("first", first), job("middle", JobState.SKIPPED, { needs: ["first"] })];
    expect(verdict(need, failure, chain(JobState.FAILED))).toBe("runs");
    expect(verdict(need, failure, chain(JobState.SUCCEEDED))).toBe(NONE_FAILED);
  });

  it("is decided early only where nothing can change it", () => {
    const others = [job("slow", JobState.RUNNING)];
    const needs = ["need", "slow"];
    expect(verdict(job("need", JobState.FAILED), { ...success, needs }, others)).toBe("need did not succeed");
    expect(verdict(job("need", JobState.FAILED), { ...failure, needs }, others)).toBe("waits");
    expect(verdict(job("need", JobState.FAILED), { ...always, needs }, others)).toBe("waits");
  });
});

describe("the condition of a job", () => {
  const run = { ...{ id: "r", pipeline: "p", commit: "", ref: "", branch: "main", tag: "", sender: "" } };
  const more = { event: "manual", pull_request: "", base_branch: "", changed: "" };
  const context = () => ({ jobs: new Map(), run: { ...run, ...more } });
  const conditional = (value: string): Job => {
    const operands = ["main"];
    const when = { kind: { case: "value" as const, value: { value, operator: 1, operands } } };
    return create(JobSchema, { spec: { name: "it", when } });
  };

  it("skips it with what does not hold", () => {
    expect(conditionVerdict(conditional(`\${{ run.branch }}`), [], context)).toEqual({ kind: "holds" });
    const reason = 'its condition does not hold: run.tag is "", not  "main"';
    expect(conditionVerdict(conditional(`\${{ run.tag }}`), [], context)).toEqual({ kind: "skipped", reason });
  });

  it("is invalid when it asks for what a job that succeeded did not report, and does not hold after one that failed", () => {
    const asks = conditional(`\${{ jobs.need.outputs.kind }}`);
    expect(conditionVerdict(asks, [job("need", JobState.SUCCEEDED)], context).kind).toBe("invalid");
    expect(conditionVerdict(asks, [job("need", JobState.FAILED)], context).kind).toBe("skipped");
  });
});
