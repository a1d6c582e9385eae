import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  FailureClass,
  HeartbeatSchema,
  ReplicaState,
  type ReplicaStatusSchema,
  RunSchema,
  TaskState,
  WindowSchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { replicaFacts, requestFacts, taskFacts } from "./fact-sources.ts";

const NOW = 1_700_000_000_000;
const { FAILED, READY, STARTING, STOPPING } = ReplicaState;

test("a task counts once it has ended, against its node only if that could not do what every node should", () => {
  const ends: [TaskState, FailureClass][] = [
    [TaskState.SUCCEEDED, FailureClass.UNSPECIFIED],
    [TaskState.FAILED, FailureClass.INFRASTRUCTURE],
    [TaskState.FAILED, FailureClass.EXIT_CODE],
    [TaskState.FAILED, FailureClass.LOST_AGENT],
    [TaskState.LOST, FailureClass.LOST_AGENT],
    [TaskState.CANCELLED, FailureClass.CANCELLED],
    [TaskState.PREEMPTED, FailureClass.UNSPECIFIED],
    [TaskState.WITHDRAWN, FailureClass.UNSPECIFIED],
    [TaskState.RUNNING, FailureClass.UNSPECIFIED],
  ];
  const tasks = ends.map(([state, failure], i) => ({ id: `t${i}`, nodeId: "n1", state, failure: { class: failure } }));
  const run = create(RunSchema, { pipeline: "train", jobs: [{ spec: { name: "fit" }, tasks }] });
  const facts = [...taskFacts(run)];
  expect(facts.map(({ taskId, trial }) => [taskId, trial.failures])).toEqual([
    ["t0", 0],
    ["t1", 1],
    ["t2", 0],
  ]);
  expect(facts[0]?.subject).toEqual({ kind: "tasks", workload: "train/fit", nodeId: "n1" });
});

type Status = MessageInitShape<typeof ReplicaStatusSchema>;

function between(before: Status, after: Status, bootId = "b1") {
  const beat = (replica: Status, boot: string) =>
    create(HeartbeatSchema, {
      nodeId: "n1",
      bootId: boot,
      replicas: [{ replicaId: "vad.3.n1.0", deployment: "vad", revision: 3, ...replica }],
    });
  const at = { nowMs: NOW, sinceMs: NOW - 6_000 };
  return [...replicaFacts(beat(before, "b1"), beat(after, bootId), at)].map(({ subject, trial }) => [
    subject.workload,
    trial.exposure,
    trial.failures,
  ]);
}

test.each<[string, Status, Status, number]>([
  ["nothing happens", { state: READY }, { state: READY }, 0],
  ["it is started again", { state: READY, restarts: 1 }, { state: STARTING, restarts: 3 }, 2],
  ["its count begins anew", { state: READY, restarts: 5 }, { state: READY }, 0],
  ["it cannot be fetched", { state: STARTING }, { state: FAILED }, 1],
  ["it stays failed", { state: FAILED }, { state: FAILED }, 0],
  ["it fails to be fetched again", { state: FAILED }, { state: FAILED, since: timestampFromMs(NOW) }, 1],
  ["a node exaggerates", { state: READY }, { state: READY, restarts: 4_000_000 }, 10],
])("replicas between heartbeats: %s", (_, before, after, failures) => {
  expect(between(before, after)).toEqual([["vad revision 3", 0.1, failures]]);
});

test("an agent that was started anew, and a replica that leaves, say nothing", () => {
  expect(between({ state: READY }, { state: FAILED }, "b2")).toEqual([]);
  expect(between({ state: READY }, { state: STOPPING })).toEqual([]);
});

test("requests count by revision, never more errors than requests", () => {
  const revisions = [
    { revision: 3, requests: 10, errors: 20 },
    { revision: 4, requests: 0, errors: 0 },
  ];
  const window = create(WindowSchema, { nodeId: "n1", deployment: "vad", revisions });
  expect([...requestFacts(window, NOW)]).toEqual([
    {
      subject: { kind: "requests", workload: "vad revision 3", nodeId: "n1" },
      atMs: NOW,
      trial: { exposure: 10, failures: 10 },
    },
  ]);
});
