import { create } from "@bufbuild/protobuf";
import { type Deployment, DeploymentSchema, RevisionSchema, RevisionState, RolloutState } from "@kedge/proto";
import { expect, test } from "vitest";
import { addRevision, wantedRevision } from "./apply.ts";
import { abandonRevision, requestRollback } from "./rollback.ts";

const { CANDIDATE, STABLE, RETIRED, ROLLED_BACK } = RevisionState;
const request = { who: "eva", nowMs: 1_000 };

/** A deployment with one revision for each state, from 1; the stable one is in force. */
function deploymentOf(states: readonly RevisionState[], rollout?: { state: RolloutState; to: number }): Deployment {
  const stableRevision = states.indexOf(STABLE) + 1;
  return create(DeploymentSchema, {
    ...{ name: "voice", spec: { name: "voice", strategy: { progressDeadlineSeconds: 60 } }, stableRevision },
    revisions: states.map((state, i) => ({
      ...{ number: i + 1, state, commit: `c${i + 1}`, template: { env: { VERSION: String(i + 1) } } },
    })),
    ...(rollout && {
      rollout: { id: "r", state: rollout.state, fromRevision: stableRevision, toRevision: rollout.to },
    }),
  });
}

const states = (deployment: Deployment): RevisionState[] => deployment.revisions.map(({ state }) => state);

test("with a rollout under way it is aborted, and what waited behind it loses its turn", () => {
  const deployment = deploymentOf([STABLE, CANDIDATE, CANDIDATE], { state: RolloutState.PROGRESSING, to: 2 });
  expect(requestRollback(deployment, 0, request)).toBe(1);
  expect(deployment.rollout?.state).toBe(RolloutState.ROLLING_BACK);
  expect(deployment.revisions).toHaveLength(3);
  expect(states(deployment)[2]).toBe(ROLLED_BACK);
});

test("after a rollout, the revision that served before comes back as a new one, with all traffic at once", () => {
  const deployment = deploymentOf([RETIRED, ROLLED_BACK, STABLE], { state: RolloutState.SUCCEEDED, to: 3 });
  expect(requestRollback(deployment, 0, request)).toBe(4);
  expect(wantedRevision(deployment)).toMatchObject({
    ...{ number: 4, state: CANDIDATE, createdBy: "eva", commit: "c1", template: { env: { VERSION: "1" } } },
  });
  expect(deployment.spec).toMatchObject({
    strategy: { progressDeadlineSeconds: 60, kind: { case: "allAtOnce" } },
    template: { env: { VERSION: "1" } },
  });
});

test("a person may name any revision that is known, and no other", () => {
  const deployment = deploymentOf([RETIRED, ROLLED_BACK, STABLE]);
  expect(requestRollback(deployment, 2, request)).toBe(4);
  expect(wantedRevision(deployment)?.commit).toBe("c2");
  const call = () => requestRollback(deployment, 9, request);
  expect(call).toThrow(expect.objectContaining({ reason: "REVISION_NOT_FOUND", hint: "it has 1, 2, 3, 4" }));
});

test("without an earlier revision that served there is nothing to go back to", () => {
  const call = () => requestRollback(deploymentOf([ROLLED_BACK, STABLE]), 0, request);
  expect(call).toThrow(expect.objectContaining({ reason: "NO_PREVIOUS_REVISION" }));
});

test("a new revision takes the turn of those that wait, not of the one being rolled out", () => {
  const deployment = deploymentOf([STABLE, CANDIDATE, CANDIDATE], { state: RolloutState.PROGRESSING, to: 2 });
  addRevision(deployment, create(RevisionSchema, { number: 4, state: CANDIDATE }));
  expect(states(deployment)).toEqual([STABLE, CANDIDATE, ROLLED_BACK, CANDIDATE]);
});

test("of many revisions the oldest are forgotten, but none that serves", () => {
  const deployment = deploymentOf([STABLE, CANDIDATE], { state: RolloutState.PROGRESSING, to: 2 });
  for (let number = 3; number <= 40; number++) {
    addRevision(deployment, create(RevisionSchema, { number, state: CANDIDATE }));
  }
  expect(deployment.revisions).toHaveLength(20);
  expect(deployment.revisions.map(({ number }) => number).slice(0, 3)).toEqual([1, 2, 23]);
});

test("giving a revision up aborts its rollout or takes its turn away, and leaves one in force alone", () => {
  const rolling = deploymentOf([STABLE, CANDIDATE], { state: RolloutState.PROGRESSING, to: 2 });
  abandonRevision(rolling, 2, { nowMs: 1, reason: "cancelled" });
  expect(rolling.rollout?.state).toBe(RolloutState.ROLLING_BACK);
  const waiting = deploymentOf([STABLE, CANDIDATE, CANDIDATE], { state: RolloutState.PROGRESSING, to: 2 });
  abandonRevision(waiting, 3, { nowMs: 1, reason: "cancelled" });
  expect(states(waiting)).toEqual([STABLE, CANDIDATE, ROLLED_BACK]);
  const inForce = deploymentOf([RETIRED, STABLE]);
  abandonRevision(inForce, 2, { nowMs: 1, reason: "cancelled" });
  expect(states(inForce)).toEqual([RETIRED, STABLE]);
});
