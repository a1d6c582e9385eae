import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Deployment,
  DeploymentSchema,
  IncidentKind,
  IncidentSchema,
  PauseCause,
  RolloutCause,
  type RolloutSchema,
  RolloutState,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { blameOf } from "./blame.ts";
import { returnActions, rolloutFinding, rolloutOver } from "./rollout-findings.ts";

const PROMOTED_MS = 1_700_000_000_000;
const at = (seconds: number) => timestampFromMs(PROMOTED_MS + 1_000 * seconds);

const deployment = (rollout: MessageInitShape<typeof RolloutSchema> = {}): Deployment =>
  create(DeploymentSchema, {
    ...{ name: "vad", stableRevision: 2 },
    rollout: {
      ...{ id: "vad-2-1", fromRevision: 1, toRevision: 2, state: RolloutState.SUCCEEDED, finishedAt: at(0) },
      ...rollout,
    },
  });

interface IncidentParts {
  readonly key?: string;
  readonly kind?: IncidentKind;
  readonly reason?: string;
  readonly beganAt?: Timestamp;
  readonly subject?: { deployment?: string; revision?: number; nodeId?: string; rolloutId?: string };
}

const incident = (more: IncidentParts = {}) =>
  create(IncidentSchema, {
    ...{ key: "anomaly/deployment/vad/latency", kind: IncidentKind.ANOMALY, reason: "slow", beganAt: at(20) },
    subject: { deployment: "vad", revision: 2 },
    ...more,
  });

test("errors, response times and burnt budgets since the promotion are the promoted revision's", () => {
  expect(blameOf(deployment(), [incident()])).toEqual({ revision: 2, reason: "slow" });
  const burn = incident({ key: "burn/deployment/vad", kind: IncidentKind.BURN_RATE, reason: "burns" });
  expect(blameOf(deployment(), [burn])).toMatchObject({ reason: "burns" });
});

test.each([
  ["what began before it", {}, { beganAt: at(-20) }],
  ["what one node shows alone", {}, { subject: { deployment: "vad", revision: 2, nodeId: "n1" } }],
  ["another revision's", {}, { subject: { deployment: "vad", revision: 1 } }],
  ["another deployment's", {}, { subject: { deployment: "web", revision: 2 } }],
  ["traffic", {}, { key: "anomaly/deployment/vad/traffic" }],
  ["a failing replica", {}, { kind: IncidentKind.REPLICA }],
  ["anything, when it is the first revision", { fromRevision: 0 }, {}],
  ["anything, after a return", { returning: true }, {}],
  ["anything, while it is rolled out", { state: RolloutState.PROGRESSING }, {}],
])("%s is not", (_what, rollout, more) => {
  expect(blameOf(deployment(rollout), [incident(more)])).toBeUndefined();
});

const transition = (to: RolloutState, reason: string) => ({ at: at(5), to, reason });

test("a rollout that was taken back for a reason is a finding until another revision is promoted", () => {
  const taken = deployment({
    ...{ state: RolloutState.ROLLED_BACK, cause: RolloutCause.JUDGE },
    transitions: [transition(RolloutState.ROLLING_BACK, "worse: errors"), transition(RolloutState.ROLLED_BACK, "done")],
  });
  const found = rolloutFinding(taken);
  expect(found).toMatchObject({ key: "rollout/vad/vad-2-1", reason: "worse: errors", beganAtMs: PROMOTED_MS + 5_000 });
  expect(found?.actions).toEqual([{ atMs: PROMOTED_MS, what: "sent all traffic back to revision 1" }]);
  const known = incident({ kind: IncidentKind.ROLLOUT, key: found?.key ?? "", subject: { rolloutId: "vad-2-1" } });
  expect(rolloutOver(known, taken)).toBeUndefined();
  expect(rolloutOver(known, deployment({ id: "vad-3-1", state: RolloutState.PROGRESSING }))).toBeUndefined();
  expect(rolloutOver(known, deployment({ id: "vad-3-1" }))).toBe("revision 2 was promoted");
  expect(rolloutOver(known, undefined)).toBe("the deployment was deleted");
  for (const cause of [RolloutCause.ABORTED_BY_USER, RolloutCause.SUPERSEDED, RolloutCause.INCIDENT]) {
    expect(rolloutFinding(deployment({ state: RolloutState.ROLLED_BACK, cause }))).toBeUndefined();
  }
});

test("a pause that waits for a person is a finding until the rollout goes on; a person's own is none", () => {
  const transitions = [transition(RolloutState.PAUSED, "no progress")];
  const paused = { state: RolloutState.PAUSED, transitions };
  const found = rolloutFinding(deployment({ ...paused, pauseCause: PauseCause.DEADLINE }));
  expect(found).toMatchObject({ key: "rollout/vad/vad-2-1/paused", reason: "no progress" });
  expect(rolloutFinding(deployment({ ...paused, pauseCause: PauseCause.USER }))).toBeUndefined();
  const known = incident({ kind: IncidentKind.ROLLOUT, key: found?.key ?? "", subject: { rolloutId: "vad-2-1" } });
  expect(rolloutOver(known, deployment(paused))).toBeUndefined();
  expect(rolloutOver(known, deployment())).toBe("the rollout goes on");
});

test("a return that an incident caused is told when it begins and when it is done", () => {
  const back = { cause: RolloutCause.INCIDENT, returning: true, toRevision: 1, startedAt: at(30), finishedAt: at(31) };
  const words = (state: RolloutState) => returnActions(deployment({ ...back, state })).map(({ what }) => what);
  expect(words(RolloutState.PROGRESSING)).toEqual(["began to bring revision 1 back"]);
  expect(words(RolloutState.SUCCEEDED)).toEqual(["began to bring revision 1 back", "brought revision 1 back"]);
  expect(returnActions(deployment())).toEqual([]);
});
