import { create } from "@bufbuild/protobuf";
import { systemClock } from "@kedge/kernel";
import { type Deployment, DeploymentSchema, RolloutState, VerdictKind, type Window, WindowSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { RolloutJudges } from "./judges.ts";

const deployment: Deployment = create(DeploymentSchema, {
  name: "voice",
  rollout: { id: "r1", state: RolloutState.PROGRESSING, fromRevision: 1, toRevision: 2, alpha: 0.01 },
});

/** Ten requests to the new revision, of which `errors` failed, ninety good ones to the old. */
function windowOf(nodeId: string, bootId: string, sequence: number, errors = 0): Window {
  return create(WindowSchema, {
    ...{ nodeId, bootId, sequence: BigInt(sequence), deployment: "voice" },
    revisions: [
      { revision: 1, requests: 90, basisPoints: 9000 },
      { revision: 2, requests: 10, errors, basisPoints: 1000 },
    ],
  });
}

function canaryRequests(judges: RolloutJudges, of: Deployment = deployment): bigint | undefined {
  return of.rollout && judges.evidence("voice", of.rollout)?.totals.canary.requests;
}

test("every window counts once, whichever node and boot of it sends it", () => {
  const judges = new RolloutJudges(systemClock);
  const windows = [windowOf("a", "boot-1", 7), windowOf("b", "boot-1", 1), windowOf("a", "boot-1", 8)];
  for (const window of windows) expect(judges.observe(deployment, window)).toBe(true);
  for (const window of windows) expect(judges.observe(deployment, window)).toBe(false);
  expect(canaryRequests(judges)).toBe(30n);
  expect(judges.observe(deployment, windowOf("a", "boot-2", 1))).toBe(true);
  expect(canaryRequests(judges)).toBe(40n);
});

test("windows of no rollout under way are not taken", () => {
  const judges = new RolloutJudges(systemClock);
  expect(judges.observe(create(DeploymentSchema, { name: "voice" }), windowOf("a", "boot-1", 1))).toBe(false);
});

test("a new term goes on from what is stored, not from what this controller saw in an earlier term", () => {
  const judges = new RolloutJudges(systemClock);
  judges.observe(deployment, windowOf("a", "boot-1", 1));
  const other = new RolloutJudges(systemClock);
  for (let sequence = 1; sequence <= 3; sequence++) other.observe(deployment, windowOf("a", "boot-1", sequence, 4));
  const found = deployment.rollout && other.evidence("voice", deployment.rollout);
  const { canary, baseline } = found?.totals ?? {};
  const stored = create(DeploymentSchema, {
    name: "voice",
    rollout: {
      ...{ id: "r1", state: RolloutState.PROGRESSING, fromRevision: 1, toRevision: 2, alpha: 0.01 },
      ...{
        totalCanary: canary ?? {},
        totalBaseline: baseline ?? {},
        judgeState: found?.judgeState ?? new Uint8Array(),
      },
    },
  });
  judges.restart();
  judges.observe(stored, windowOf("a", "boot-1", 4));
  expect(canaryRequests(judges, stored)).toBe(40n);
  expect(stored.rollout && judges.evidence("voice", stored.rollout)?.verdict?.kind).toBe(VerdictKind.ROLLBACK);
});
