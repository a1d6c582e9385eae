import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DeploymentSchema, JobState, ListApprovalsRequestSchema, Role, RunSchema, RunState } from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { listApprovals } from "./approval-inbox.ts";

let world: TestStores;
const ann = { name: "ann", role: Role.OPERATOR };

const image = (text: string) => ({ template: { source: { case: "image" as const, value: text } } });

beforeAll(async () => {
  world = await startTestStores();
  const { runs, deployments } = world.stores;
  const revision = { number: 4, commit: "b".repeat(40), ...image("reg.example/vad:1") };
  await deployments.create("vad", create(DeploymentSchema, { name: "vad", stableRevision: 4, revisions: [revision] }));
  await runs.create("01aaa", create(RunSchema, shipping("01aaa", 1_700_000_100_000)));
  await runs.create("01bbb", create(RunSchema, shipping("01bbb", 1_700_000_000_000)));
  const outside = { id: "01ccc", state: RunState.BLOCKED, source: { fork: true, commit: "c".repeat(40) } };
  await runs.create(
    "01ccc",
    create(RunSchema, { ...outside, jobs: [{ spec: { name: "a" }, state: JobState.WAITING }] }),
  );
  await runs.create("01ddd", create(RunSchema, { ...shipping("01ddd", 1), cancelRequested: true }));
});
afterAll(() => world.stop());

/** A run that waits for a word between a gate and two deployments, one of a version that is not known yet. */
function shipping(id: string, readyMs: number): MessageInitShape<typeof RunSchema> {
  const deploy = (name: string, needs: string[], of: string) => ({
    spec: { name, needs, work: { case: "deploy" as const, value: { deployment: { name: "vad", ...image(of) } } } },
    state: JobState.WAITING,
  });
  const gate = { case: "gate" as const, value: {} };
  return {
    ...{ id, pipeline: "ship", state: RunState.RUNNING, submittedBy: "ci" },
    source: { commit: "a".repeat(40), changed: ["a", "b"] },
    jobs: [
      { spec: { name: "build" }, state: JobState.SUCCEEDED, outputs: { tag: "2" } },
      {
        spec: { name: "quality", needs: ["build"], work: gate },
        state: JobState.SUCCEEDED,
        gateResults: [{ passed: true, message: "fine" }],
      },
      {
        spec: {
          name: "ok",
          needs: ["quality"],
          work: { case: "approval", value: { message: "go?", timeoutSeconds: 60 } },
        },
        state: JobState.BLOCKED,
        readyAt: timestampFromMs(readyMs),
      },
      deploy("known", ["ok"], `reg.example/vad:\${{ jobs.build.outputs.tag }}`),
      deploy("later", ["known"], `reg.example/vad:\${{ jobs.known.outputs.tag }}`),
      deploy("beside", ["build"], "reg.example/vad:3"),
    ],
  };
}

const list = (request: MessageInitShape<typeof ListApprovalsRequestSchema>, principal = ann) =>
  listApprovals(world.stores, create(ListApprovalsRequestSchema, request), principal);

test("what times out first is first, what is being cancelled is not there", () => {
  const { approvals } = list({});
  expect(approvals.map(({ runId, job }) => `${runId}/${job}`)).toEqual(["01bbb/ok", "01aaa/ok", "01ccc/"]);
});

test("a decision comes with the gates before it and what is deployed after it", () => {
  const [approval] = list({ runId: "01aaa", job: "ok" }).approvals;
  expect(approval).toMatchObject({ gates: [{ passed: true, message: "fine" }], source: { changed: [] }, obstacle: "" });
  const now = { deployment: "vad", currentRevision: 4, current: "reg.example/vad:1", currentCommit: "b".repeat(40) };
  expect(approval?.deployments).toMatchObject([
    { job: "known", ...now, wanted: "reg.example/vad:2" },
    { job: "later", ...now, wanted: expect.stringContaining("jobs.known.outputs.tag") },
  ]);
});

test("pages follow one another, and viewers see all but decide nothing", () => {
  const first = list({ pageSize: 2 });
  const second = list({ pageSize: 2, pageToken: first.nextPageToken });
  expect([...first.approvals, ...second.approvals].map(({ runId }) => runId)).toEqual(["01bbb", "01aaa", "01ccc"]);
  const viewer = { name: "eve", role: Role.VIEWER };
  expect(list({}, viewer).approvals).toEqual([]);
  expect(list({ all: true }, viewer).approvals.map(({ obstacle }) => obstacle)).toEqual(
    Array.from({ length: 3 }, () => "it is for operators and admins"),
  );
});
