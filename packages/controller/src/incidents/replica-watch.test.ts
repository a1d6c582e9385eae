import { create } from "@bufbuild/protobuf";
import { AssignmentSchema, type Heartbeat, HeartbeatSchema, ReplicaState } from "@kedge/proto";
import { beforeEach, expect, test } from "vitest";
import { ReplicaWatch } from "./replica-watch.ts";

let watch: ReplicaWatch;
let previous: Heartbeat | undefined;

beforeEach(() => {
  watch = new ReplicaWatch();
  previous = undefined;
});

const assignment = create(AssignmentSchema, {
  replicas: [
    { replicaId: "vad-2-a", deployment: "vad", revision: 2 },
    { replicaId: "vad-2-b", deployment: "vad", revision: 2 },
  ],
});

/** What a heartbeat that tells these restarts adds. */
function beat(
  nowMs: number,
  restarts: number,
  more: { memoryKills?: number; replicaId?: string; state?: ReplicaState } = {},
) {
  const replica = {
    replicaId: "vad-2-a",
    deployment: "vad",
    revision: 2,
    state: ReplicaState.READY,
    restarts,
    ...more,
  };
  const heartbeat = create(HeartbeatSchema, {
    nodeId: "n1",
    replicas: [{ ...replica, message: "exited with code 1" }],
  });
  const news = watch.beat(heartbeat, previous, { assignment, nowMs });
  previous = heartbeat;
  return news;
}

test("three restarts of a revision within ten minutes are a loop; as many in an hour are not", () => {
  for (let i = 0; i < 5; i++) expect(beat(i * 400_000, i).findings).toEqual([]);
  watch = new ReplicaWatch();
  beat(0, 4);
  expect(beat(1_000, 5)).toMatchObject({ restarts: 1, findings: [] });
  expect(beat(2_000, 6).findings).toEqual([]);
  const [found] = beat(3_000, 7).findings;
  expect(found).toMatchObject({
    ...{ key: "replica/vad/2", subject: { nodeId: "n1", replicaId: "vad-2-a" }, beganAtMs: 1_000 },
    reason: "failed 3 times within 10 min, last vad-2-a on n1: exited with code 1",
  });
  expect(watch.isFailing("vad", 2, 602_000)).toBe(true);
  expect(watch.isFailing("vad", 2, 604_000)).toBe(false);
  expect(watch.isFailing("vad", 1, 3_000)).toBe(false);
});

test("a replica that was given up, and one that was killed for its memory, are told at once", () => {
  beat(0, 0);
  expect(beat(1_000, 1, { memoryKills: 1 }).findings).toMatchObject([
    { summary: "replicas of vad revision 2 are killed for their memory" },
  ]);
  watch = new ReplicaWatch();
  expect(beat(2_000, 9, { state: ReplicaState.FAILED }).findings).toHaveLength(1);
  expect(beat(3_000, 9, { state: ReplicaState.FAILED }).findings).toEqual([]);
});

test("a node speaks for the replicas it was given only, and no number is too large", () => {
  beat(0, 0, { replicaId: "web-1-a" });
  expect(beat(1_000, 4_294_967_295, { replicaId: "web-1-a", state: ReplicaState.FAILED })).toEqual({
    ...{ restarts: 0, findings: [] },
  });
  beat(2_000, 0, { replicaId: "vad-2-b" });
  expect(beat(3_000, 4_294_967_295, { replicaId: "vad-2-b" }).restarts).toBe(32);
  expect(beat(4_000, 0, { replicaId: "vad-2-b" }).restarts).toBe(0);
});
