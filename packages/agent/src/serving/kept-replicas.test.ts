import { create } from "@bufbuild/protobuf";
import { type Clock, systemClock } from "@kedge/kernel";
import { AssignmentSchema, LocalDecisionKind, LocalDecisionSchema } from "@kedge/proto";
import { beforeEach, expect, it } from "vitest";
import { KeptReplicas } from "./kept-replicas.ts";

let timeMs = 0;
let timer: { readonly ms: number; readonly callback: () => void } | undefined;
const clock: Clock = {
  ...systemClock,
  monotonic: () => timeMs,
  after: (ms, callback) => {
    timer = { ms, callback };
    return () => {
      timer = undefined;
    };
  },
};

beforeEach(() => {
  timeMs = 0;
  timer = undefined;
});

const assignmentOf = (...revisions: number[]) => {
  const replicas = revisions.map((revision) => ({ replicaId: `d.${revision}.n1.0`, deployment: "d", revision }));
  return create(AssignmentSchema, { nodeId: "n1", replicas });
};
const decided = (kind: LocalDecisionKind) =>
  create(LocalDecisionSchema, { deployment: "d", revision: 2, fromRevision: 1, kind });
const rolledBack = [decided(LocalDecisionKind.ROLLBACK)];
const revisionsOf = (replicas: readonly { readonly revision: number }[]) => replicas.map(({ revision }) => revision);

it("keeps what the node went back to beside what it left, for 30 s and no longer", () => {
  let expired = 0;
  const kept = new KeptReplicas({ clock, onExpired: () => (expired += 1) });
  const promoted = assignmentOf(2);
  expect(revisionsOf(kept.follow(assignmentOf(1, 2), promoted, rolledBack))).toEqual([2, 1]);
  timeMs = 29_000;
  expect(revisionsOf(kept.follow(promoted, promoted, rolledBack))).toEqual([2, 1]);
  timeMs += timer?.ms ?? 0;
  timer?.callback();
  expect(expired).toBe(1);
  expect(revisionsOf(kept.follow(promoted, promoted, rolledBack))).toEqual([2]);
});

it("keeps nothing twice once it is assigned again", () => {
  const kept = new KeptReplicas({ clock, onExpired: () => {} });
  kept.follow(assignmentOf(1, 2), assignmentOf(2), rolledBack);
  expect(revisionsOf(kept.follow(assignmentOf(2), assignmentOf(1, 2), rolledBack))).toEqual([1, 2]);
  expect(timer).toBeUndefined();
});

it("keeps nothing without a roll-back of its own, nor when the new revision goes too", () => {
  const kept = new KeptReplicas({ clock, onExpired: () => {} });
  const paused = [decided(LocalDecisionKind.PAUSE)];
  expect(revisionsOf(kept.follow(assignmentOf(1, 2), assignmentOf(2), paused))).toEqual([2]);
  expect(revisionsOf(kept.follow(assignmentOf(1, 2), assignmentOf(), rolledBack))).toEqual([]);
  expect(revisionsOf(kept.follow(undefined, assignmentOf(2), rolledBack))).toEqual([2]);
});
