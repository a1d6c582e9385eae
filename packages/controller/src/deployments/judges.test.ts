import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { systemClock } from "@kedge/kernel";
import {
  type Deployment,
  DeploymentSchema,
  MetricKind,
  RequestSource,
  type RevisionWindowSchema,
  type RolloutSchema,
  RolloutState,
  VerdictKind,
  type Window,
  WindowSchema,
} from "@kedge/proto";
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

const BOUNDS = [1, 2, 5, 10, 20, 50, 100];

/** A hundred requests an arm, whose latencies are in the bucket of this index, or one beside it; half of them "yes". */
function answers(bucket: number, yes = 50) {
  const counts = BOUNDS.map((_, i) => (i === bucket ? 60 : Math.abs(i - bucket) === 1 ? 20 : 0));
  return {
    requests: 100,
    basisPoints: 5000,
    latencyMs: { bounds: BOUNDS, counts: [...counts, 0] },
    predictions: { yes, no: 100 - yes },
  };
}

/** A third of each bucket's in the next one. */
function shifted({ bounds, counts }: ReturnType<typeof answers>["latencyMs"]) {
  const moved = counts.map((count) => Math.floor(count / 3));
  return { bounds, counts: counts.map((count, i) => count - (moved[i] ?? 0) + (moved[i - 1] ?? 0)) };
}

type Part = MessageInitShape<typeof RevisionWindowSchema>;

/** The newest evidence after so many windows, looked at after each as reconciliations do. */
function judged(
  rollout: MessageInitShape<typeof RolloutSchema>,
  parts: (sequence: number) => { old: Part; fresh: Part },
  windows = 60,
) {
  const judges = new RolloutJudges(systemClock);
  const rolling = { id: "r1", state: RolloutState.PROGRESSING, fromRevision: 1, toRevision: 2, alpha: 0.01 };
  const of = create(DeploymentSchema, { name: "voice", rollout: { ...rolling, ...rollout } });
  for (let sequence = 1; sequence <= windows; sequence++) {
    const { old, fresh } = parts(sequence);
    const revisions = [
      { ...old, revision: 1 },
      { ...fresh, revision: 2 },
    ];
    const names = { nodeId: "a", bootId: "boot-1", sequence: BigInt(sequence), deployment: "voice" };
    judges.observe(of, create(WindowSchema, { ...names, revisions }));
    if (of.rollout) judges.evidence("voice", of.rollout);
  }
  return of.rollout && judges.evidence("voice", of.rollout);
}

test("slower answers without an error are judged, with the size of the effect", () => {
  const slow = judged({}, () => ({ old: answers(3), fresh: answers(5) }));
  expect(slow?.verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "latency" });
  expect(slow?.verdict?.reason).toMatch(/worse on latency: .*e-value/);
  const same = judged({}, () => ({ old: answers(3), fresh: answers(3) }));
  expect(same?.verdict?.kind).not.toBe(VerdictKind.ROLLBACK);
});

test("a difference that nobody minds counts only where nothing is tolerated", () => {
  const barelySlower = () => ({ old: answers(1), fresh: { ...answers(1), latencyMs: shifted(answers(1).latencyMs) } });
  expect(judged({}, barelySlower)?.verdict?.kind).not.toBe(VerdictKind.ROLLBACK);
  const metrics = [{ name: "latency", kind: MetricKind.LATENCY, tolerance: 0 }];
  expect(judged({ analysis: { metrics } }, barelySlower)?.verdict?.kind).toBe(VerdictKind.ROLLBACK);
});

test("other predictions count where the analysis asks for them, and nowhere else", () => {
  const shifted = () => ({ old: answers(3, 50), fresh: answers(3, 80) });
  expect(judged({}, shifted)?.verdict?.kind).not.toBe(VerdictKind.ROLLBACK);
  const analysis = { metrics: [{ name: "predictions", kind: MetricKind.PREDICTIONS }] };
  expect(judged({ analysis }, shifted)?.verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "predictions" });
  // What was not asked for is not looked at.
  const slow = judged({ analysis }, () => ({ old: answers(3), fresh: answers(5) }));
  expect(slow?.verdict?.kind).not.toBe(VerdictKind.ROLLBACK);
});

test("while it is undecided, the verdict tells how many more requests it needs", () => {
  const evidence = judged({}, () => ({ old: { ...answers(3), errors: 4 }, fresh: { ...answers(3), errors: 8 } }), 2);
  expect(evidence?.verdict?.kind).toBe(VerdictKind.CONTINUE);
  expect(evidence?.verdict?.reason).toMatch(/ratio of rates .*about \d+ more requests needed/);
});

test("latencies that stop coming are missing, not good", () => {
  const evidence = judged({}, (sequence) => {
    const { latencyMs, ...rest } = answers(3);
    return sequence < 10 ? { old: answers(3), fresh: answers(3) } : { old: answers(3), fresh: rest };
  });
  expect(evidence?.metricsMissing).toContain("no latency");
});

/** Users one by one, as gateways write them. */
function sketch(users: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(1 + 4 * users.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 1;
  for (const [i, user] of users.entries()) view.setUint32(1 + 4 * i, user);
  return bytes;
}

const BY_USER = { strategy: { sticky: { source: RequestSource.COOKIE, name: "uid" } } };

test("with sticky routing users are counted, so one user's many failures are not many", () => {
  const users = [1, 2, 3, 4, 5];
  const part = (base: number, failed: number[]) => ({
    ...{ requests: 100, basisPoints: 5000, errors: failed.length * 20 },
    ...{ users: sketch(users.map((user) => base + user)), usersWithErrors: sketch(failed.map((user) => base + user)) },
  });
  // The same user fails in every window.
  const one = judged(BY_USER, () => ({ old: part(0, []), fresh: part(1000, [1]) }));
  expect(one?.verdict?.kind).not.toBe(VerdictKind.ROLLBACK);
  const many = judged(BY_USER, (at) => ({ old: part(at * 10_000, []), fresh: part(at * 10_000 + 1000, [1, 2]) }));
  expect(many?.verdict?.kind).toBe(VerdictKind.ROLLBACK);
  expect(many?.verdict?.reason).toContain("users");
});

test("users that cannot be read are missing, and said to be", () => {
  const unreadable = { requests: 1000, basisPoints: 5000, users: Uint8Array.of(3, ...new Uint8Array(1024)) };
  const evidence = judged(BY_USER, () => ({ old: unreadable, fresh: unreadable }));
  expect(evidence?.metricsMissing).toContain("no users");
});

test("a state that an older server stored is given up, not the rollout", () => {
  const judgeState = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const evidence = judged({ judgeState }, () => ({ old: answers(3), fresh: answers(5) }));
  expect(evidence?.verdict?.kind).toBe(VerdictKind.ROLLBACK);
});

test("a node that tells nonsense spoils nobody else's latencies", () => {
  const rolling = { id: "r1", state: RolloutState.PROGRESSING, fromRevision: 1, toRevision: 2, alpha: 0.01 };
  const of = create(DeploymentSchema, { name: "voice", rollout: rolling });
  const judges = new RolloutJudges(systemClock);
  const nonsense = { ...answers(3), latencyMs: { bounds: [Number.NaN, 2, 1], counts: [50, 50, 0, 0] } };
  for (let sequence = 1n; sequence <= 40n; sequence++) {
    for (const nodeId of ["good", "liar"]) {
      const fresh = nodeId === "good" ? answers(5) : nonsense;
      const revisions = [
        { ...(nodeId === "good" ? answers(3) : nonsense), revision: 1 },
        { ...fresh, revision: 2 },
      ];
      judges.observe(of, create(WindowSchema, { nodeId, bootId: "b", sequence, deployment: "voice", revisions }));
    }
    if (of.rollout) judges.evidence("voice", of.rollout);
  }
  const verdict = of.rollout && judges.evidence("voice", of.rollout)?.verdict;
  expect(verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "latency" });
});
