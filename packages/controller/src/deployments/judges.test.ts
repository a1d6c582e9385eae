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

test("the judge weighs each gateway's window by that gateway's own shares", () => {
  const half = (nodeId: string): Window =>
    create(WindowSchema, {
      ...{ nodeId, bootId: "boot-1", sequence: 1n, deployment: "voice" },
      revisions: [
        { revision: 1, requests: 50, errors: 5, basisPoints: 5000 },
        { revision: 2, requests: 50, errors: 5, basisPoints: 5000 },
      ],
    });
  const judges = new RolloutJudges(systemClock);
  // As many errors on one in ten as on nine in ten would be damning; even shares with even errors are not.
  for (let node = 0; node < 20; node++) judges.observe(deployment, half(`n${node}`));
  const even = deployment.rollout && judges.evidence("voice", deployment.rollout);
  expect(even?.totals.canary).toEqual({ requests: 1000n, errors: 100n });
  expect(even?.verdict?.kind).not.toBe(VerdictKind.ROLLBACK);
  judges.restart();
  for (let sequence = 1; sequence <= 20; sequence++) judges.observe(deployment, windowOf("a", "boot-1", sequence, 5));
  const skewed = deployment.rollout && judges.evidence("voice", deployment.rollout);
  expect(skewed?.verdict?.kind).toBe(VerdictKind.ROLLBACK);
});

test("impossible numbers do no harm: more errors than requests, shares beyond the whole, counts beyond belief", () => {
  const judges = new RolloutJudges(systemClock);
  const top = 0xffff_ffff;
  const lie = create(WindowSchema, {
    ...{ nodeId: "liar", bootId: "boot-1", sequence: 1n, deployment: "voice" },
    revisions: [
      { revision: 1, requests: top, errors: 0, basisPoints: top },
      { revision: 2, requests: 3, errors: top, basisPoints: top },
    ],
  });
  expect(judges.observe(deployment, lie)).toBe(true);
  const found = deployment.rollout && judges.evidence("voice", deployment.rollout);
  expect(found?.totals.canary).toEqual({ requests: 3n, errors: 3n });
  expect(found?.totals.baseline.requests).toBe(10_000_000n);
  expect(found?.verdict?.effect).not.toBeNaN();
  expect(Number.isFinite(found?.verdict?.evidence)).toBe(true);
});

test("a rollout's state stays small however many windows come", () => {
  const judges = new RolloutJudges(systemClock);
  const bytes = (): number =>
    (deployment.rollout && judges.evidence("voice", deployment.rollout))?.judgeState.length ?? 0;
  for (let sequence = 1; sequence <= 100; sequence++) judges.observe(deployment, windowOf("a", "boot-1", sequence));
  const early = bytes();
  for (let sequence = 101; sequence <= 2000; sequence++) judges.observe(deployment, windowOf("a", "boot-1", sequence));
  expect(early).toBeGreaterThan(0);
  expect(bytes()).toBeLessThanOrEqual(2 * early);
});
