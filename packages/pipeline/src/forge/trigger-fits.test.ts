import { create } from "@bufbuild/protobuf";
import { SourceEvent, SourceSchema } from "@kedge/proto";
import { expect, it } from "vitest";
import { compilePipeline, lintPipeline, pipelineTriggers } from "../pipeline-compile.ts";
import { startsRun } from "./trigger-fits.ts";

const FILE = `name: p
on:
  push: { branches: [main, "release/**"], paths: ["src/**", "!src/docs/**"] }
  pull-request: { branches: [main] }
  tag: "v*"
  poll: { every: 1m, branches: [nightly] }
  cron: "H 3 * * *"
jobs: { a: { steps: [checkout] } }
`;

it.each([
  ["a push to a branch", { event: SourceEvent.PUSH, branch: "main" }, true],
  ["a push to a deep branch", { event: SourceEvent.PUSH, branch: "release/1/2" }, true],
  ["a push to another branch", { event: SourceEvent.PUSH, branch: "dev" }, false],
  ["a push that touches the paths", { event: SourceEvent.PUSH, branch: "main", changed: ["x", "src/a.ts"] }, true],
  ["a push that touches none", { event: SourceEvent.PUSH, branch: "main", changed: ["x", "src/docs/a.md"] }, false],
  ["a pull request into a branch", { event: SourceEvent.PULL_REQUEST, branch: "x", baseBranch: "main" }, true],
  ["a pull request from such a branch", { event: SourceEvent.PULL_REQUEST, branch: "main", baseBranch: "x" }, false],
  ["a tag", { event: SourceEvent.TAG, tag: "v1" }, true],
  ["another tag", { event: SourceEvent.TAG, tag: "x1" }, false],
  ["a tag called like a branch", { event: SourceEvent.TAG, tag: "main" }, false],
  ["a new head of a polled branch", { event: SourceEvent.POLL, branch: "nightly" }, true],
  ["a new head of another branch", { event: SourceEvent.POLL, branch: "main" }, false],
  ["a person", { event: SourceEvent.MANUAL, branch: "main" }, false],
] as const)("%s", (_, fields, expected) => {
  expect(lintPipeline(FILE)).toEqual([]);
  const triggers = compilePipeline(FILE, { parameters: {} }).spec?.triggers ?? [];
  expect(
    startsRun(triggers, create(SourceSchema, { ...fields, changed: [...("changed" in fields ? fields.changed : [])] })),
  ).toBe(expected);
});

it("takes a new head for a push where nothing else tells of pushes", () => {
  const triggers = compilePipeline(FILE, { parameters: {} }).spec?.triggers ?? [];
  const source = create(SourceSchema, { event: SourceEvent.POLL, branch: "main" });
  expect(startsRun(triggers, source, { pollsForPushes: true })).toBe(true);
});

it("reads triggers of a file whose other values are not known yet", () => {
  const file = `name: p
on: { cron: [{ schedule: "* * * * *", parameters: { level: 3 } }] }
parameters: { level: { type: number }, on-day: { default: "1" } }
jobs: { ask: { approval: { message: "\${{ parameters.level }} \${{ parameters.on-day }}" } }, b: { priority: "\${{ parameters.level }}", steps: [checkout] } }
`;
  expect(pipelineTriggers(file)).toMatchObject({
    pipeline: { name: "p", triggers: [{ kind: { case: "cron", value: { parameters: { level: "3" } } } }] },
    diagnostics: [],
  });
  expect(pipelineTriggers("name: p\njobs: { a: { steps: [checkout] } }").pipeline?.triggers).toEqual([]);
  expect(pipelineTriggers("name: p\njobs: {}").pipeline).toBeUndefined();
});
