import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type LocalDecision,
  LocalDecisionKind,
  LocalDecisionSchema,
  PauseCause,
  type Rollout,
  RolloutCause,
  RolloutSchema,
  RolloutState,
} from "@kedge/proto";
import { describe, expect, it } from "vitest";
import type { RolloutObservation } from "./observation.ts";
import { stepRollout } from "./step-rollout.ts";

const NOW = 1_700_000_000_000;
const HELD = [{ weightPercent: 20, holdSeconds: 3_600 }, { weightPercent: 100 }];

/** Half-way, one wave of so many nodes when some of them may fail. */
function progressing(maxFailedPercent = 0): Rollout {
  const waves = maxFailedPercent > 0 ? [{ name: "all" }] : [];
  return create(RolloutSchema, {
    ...{ id: "d-2-1", fromRevision: 1, toRevision: 2, state: RolloutState.PROGRESSING, alpha: 0.01 },
    ...{ progressDeadlineSeconds: 7_200, stepStartedAt: timestampFromMs(NOW), progressAt: timestampFromMs(NOW) },
    strategy: { kind: { case: "canary", value: { steps: HELD, waves, maxFailedPercent } } },
    canary: { steps: HELD, waves, maxFailedPercent },
  });
}

function said(
  nodeId: string,
  kind: LocalDecisionKind,
  more: Partial<Pick<LocalDecision, "rolloutId" | "revision">> = {},
): LocalDecision {
  const names = { nodeId, rolloutId: "d-2-1", revision: 2, reason: "worse here" };
  return create(LocalDecisionSchema, { ...names, kind, at: timestampFromMs(NOW), ...more });
}

const { CONTINUE, PAUSE, ROLLBACK } = LocalDecisionKind;

function merged(rollout: Rollout, localDecisions: readonly LocalDecision[], nodes = 0): Rollout {
  const ready = { desired: 10, ready: 10, failed: 0 };
  const replicas = new Map([1, 2].map((revision) => [revision, ready]));
  const waves = nodes > 0 ? [{ nodes, failedNodes: [], replicas }] : undefined;
  const observation: RolloutObservation = { replicas, localDecisions, ...(waves && { waves }) };
  return stepRollout({ rollout, now: NOW + 1_000, observation }).rollout;
}

const record = ({ localDecisions }: Rollout) =>
  localDecisions.map(({ nodeId, kind }) => `${nodeId} ${LocalDecisionKind[kind]}`);

describe("what nodes decided while they were cut off", () => {
  it("takes the rollout back, whatever came before or comes after, and in whatever order", () => {
    const orders = [
      [said("n1", ROLLBACK), said("n1", PAUSE), said("n1", CONTINUE)],
      [said("n1", CONTINUE), said("n1", PAUSE), said("n1", ROLLBACK), said("n1", ROLLBACK)],
    ];
    for (const order of orders) {
      const after = order.reduce((rollout, decision) => merged(rollout, [decision]), progressing());
      expect(after).toMatchObject({ state: RolloutState.ROLLING_BACK, cause: RolloutCause.LOCAL_DECISION });
      expect(record(after)).toEqual(["n1 ROLLBACK"]);
    }
  });

  it("holds the rollout when a node held its share", () => {
    const after = merged(progressing(), [said("n1", PAUSE)]);
    expect(after).toMatchObject({ state: RolloutState.PAUSED, pauseCause: PauseCause.ANALYSIS });
    expect(after.localDecisions[0]?.outcome).toContain("the node's decision holds");
  });

  it("changes nothing when they went on, or speak of another rollout or revision", () => {
    const others = [
      said("n1", CONTINUE),
      said("n2", ROLLBACK, { rolloutId: "d-1-1" }),
      said("n3", ROLLBACK, { revision: 1 }),
    ];
    const after = merged(progressing(), others);
    expect(after.state).toBe(RolloutState.PROGRESSING);
    expect(record(after)).toEqual(["n1 CONTINUE"]);
  });

  it("is outvoted where some nodes may fail: one that lies in a big fleet takes nothing back", () => {
    const one = merged(progressing(20), [said("n1", ROLLBACK)], 10);
    expect(one.state).toBe(RolloutState.PROGRESSING);
    expect(one.localDecisions[0]?.outcome).toContain("1 of 10 nodes is within what the waves allow");
    const three = merged(one, [said("n2", ROLLBACK), said("n3", ROLLBACK)], 10);
    expect(three).toMatchObject({ state: RolloutState.ROLLING_BACK, cause: RolloutCause.LOCAL_DECISION });
    expect(record(three)).toHaveLength(3);
  });

  it("keeps a bounded record, in which those that went on make room", () => {
    const many = (kind: LocalDecisionKind, prefix: string) =>
      Array.from({ length: 100 }, (_, n) => said(`${prefix}${n}`, kind));
    const went = merged(progressing(), many(CONTINUE, "c"));
    expect(record(went)).toHaveLength(16);
    const back = merged(went, many(ROLLBACK, "r"));
    expect(record(back)).toHaveLength(64);
    expect(record(back).every((line) => line.endsWith("ROLLBACK"))).toBe(true);
  });
});
