import { create } from "@bufbuild/protobuf";
import { isRolloutEnded } from "@kedge/domain";
import { type Rollout, RolloutState, RouteSplitSchema, StrategySchema, VerdictKind, VerdictSchema } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { capacityBasisPoints, countsOf } from "./capacity.ts";
import { desiredRoute } from "./desired-route.ts";
import { desiredRevisions } from "./desired-scales.ts";
import type { ReplicaCounts, RolloutObservation } from "./observation.ts";
import { abortRollout, pauseRollout, promoteRollout, resumeRollout } from "./requests.ts";
import { startRollout } from "./start.ts";
import { stepRollout } from "./step-rollout.ts";

const START = 1_700_000_000_000;
const NEW = 7;

const rolloutArbitrary: fc.Arbitrary<Rollout> = fc
  .record({
    fromRevision: fc.constantFrom(0, 4, 4, 9),
    steps: fc.array(
      fc.record({
        weightPercent: fc.integer({ min: 1, max: 100 }),
        holdSeconds: fc.nat(60),
        minRequests: fc.nat(200),
        manual: fc.boolean(),
      }),
      { maxLength: 4 },
    ),
    progressDeadlineSeconds: fc.integer({ min: 1, max: 300 }),
  })
  .map(({ fromRevision, steps, progressDeadlineSeconds }) => {
    const strategy = create(StrategySchema, { kind: { case: "canary", value: { steps } }, progressDeadlineSeconds });
    return startRollout({ deployment: "d", fromRevision, toRevision: NEW, attempt: 1, strategy }, START);
  });

interface Happening {
  readonly afterSeconds: number;
  readonly old: ReplicaCounts;
  readonly fresh: ReplicaCounts;
  readonly route: "absent" | "wanted" | "old" | "odd";
  readonly requests: number;
  readonly verdict: VerdictKind | undefined;
  readonly supersededBy: number | undefined;
  readonly request: "none" | "pause" | "resume" | "promote" | "abort";
  readonly again: boolean;
}

const often = <T>(usual: T, ...rare: T[]): fc.Arbitrary<T> =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 12 }, { arbitrary: fc.constantFrom(...rare), weight: 1 });
const counts = fc
  .tuple(fc.integer({ min: 0, max: 6 }), fc.nat(6), often(0, 1))
  .map(([desired, ready, failed]): ReplicaCounts => ({ desired, ready: Math.min(desired, ready), failed }));
const happening: fc.Arbitrary<Happening> = fc.record({
  afterSeconds: fc.nat(90),
  old: counts,
  fresh: counts,
  route: fc.constantFrom("absent", "wanted", "wanted", "wanted", "old", "odd"),
  requests: fc.integer({ min: -50, max: 150 }),
  verdict: often<VerdictKind | undefined>(undefined, VerdictKind.CONTINUE, VerdictKind.PASS, VerdictKind.ROLLBACK),
  supersededBy: often<number | undefined>(undefined, 8),
  request: often<Happening["request"]>("none", "pause", "resume", "promote", "promote", "abort"),
  again: fc.boolean(),
});

test("whatever happens, the invariants of a rollout hold", () => {
  fc.assert(
    fc.property(rolloutArbitrary, fc.array(happening, { maxLength: 40 }), (start, happenings) => {
      let rollout = start;
      let now = START;
      let lastShare = 10_000;
      for (const what of happenings) {
        now += what.afterSeconds * 1000;
        const before = ask(rollout, what, now);
        const observation = observe(before, what);
        const step = stepRollout({ rollout: before, now, observation });
        assertInvariants(before, step.rollout, observation);
        const share = shareOf(step.rollout, observation);
        if (isGoingBack(rollout)) expect(share).toBeLessThanOrEqual(lastShare);
        lastShare = share;
        if (what.again) expect(stepRollout({ rollout: step.rollout, now, observation }).changed).toBe(false);
        rollout = step.rollout;
      }
    }),
    { numRuns: 300 },
  );
});

test("every rollout ends once the world is benign or the deadline passes", () => {
  fc.assert(
    fc.property(rolloutArbitrary, fc.array(happening, { maxLength: 20 }), (start, happenings) => {
      let rollout = start;
      let now = START;
      for (const what of happenings) {
        now += what.afterSeconds * 1000;
        const before = ask(rollout, what, now);
        rollout = stepRollout({ rollout: before, now, observation: observe(before, what) }).rollout;
      }
      for (let i = 0; i < 40 && !isRolloutEnded(rollout.state); i++) {
        now += 61_000;
        const benign = promoteRollout(resumeRollout(rollout, now));
        rollout = stepRollout({ rollout: benign, now, observation: observe(benign, BENIGN) }).rollout;
      }
      expect(RolloutState[rollout.state]).toMatch(/SUCCEEDED|ROLLED_BACK/);
    }),
    { numRuns: 300 },
  );
});

test("a rollout in a world that stands still ends by its deadline", () => {
  fc.assert(
    fc.property(rolloutArbitrary, happening, (start, what) => {
      const frozen = { ...what, request: "none", requests: 0 } as const;
      // Serving on the new revision alone is the one thing that is never cut off.
      fc.pre(what.old.ready > 0 || what.fresh.ready === 0);
      let rollout = start;
      for (let now = START, i = 0; i < 60; i++, now += 400_000) {
        const before = promoteRollout(rollout);
        rollout = stepRollout({ rollout: before, now, observation: observe(before, frozen) }).rollout;
      }
      expect(RolloutState[rollout.state]).toMatch(/SUCCEEDED|ROLLED_BACK/);
    }),
    { numRuns: 300 },
  );
});

const FULL: ReplicaCounts = { desired: 3, ready: 3, failed: 0 };
const BENIGN: Happening = {
  afterSeconds: 61,
  old: FULL,
  fresh: FULL,
  route: "wanted",
  requests: 500,
  verdict: undefined,
  supersededBy: undefined,
  request: "none",
  again: false,
};

function ask(rollout: Rollout, { request }: Happening, now: number): Rollout {
  if (request === "pause") return pauseRollout(rollout, now);
  if (request === "resume") return resumeRollout(rollout, now);
  if (request === "promote") return promoteRollout(rollout);
  return request === "abort" ? abortRollout(rollout, now) : rollout;
}

function observe(rollout: Rollout, what: Happening): RolloutObservation {
  const replicas = new Map([
    [NEW, what.fresh],
    ...(rollout.fromRevision === 0 ? [] : ([[rollout.fromRevision, what.old]] as const)),
  ]);
  const routes = {
    absent: undefined,
    wanted: desiredRoute(rollout, replicas).splits,
    old: [create(RouteSplitSchema, { revision: rollout.fromRevision, basisPoints: 10_000 })],
    odd: [create(RouteSplitSchema, { revision: NEW, basisPoints: 10_000 })],
  };
  const routeInForce = routes[what.route];
  const seen = (rollout.totalCanary?.requests ?? 0n) + BigInt(what.requests);
  const arm = { requests: seen < 0n ? 0n : seen, errors: 0n };
  return {
    replicas,
    totals: { canary: arm, baseline: arm },
    ...(routeInForce === undefined ? {} : { routeInForce }),
    ...(what.verdict === undefined ? {} : { verdict: create(VerdictSchema, { kind: what.verdict, reason: "r" }) }),
    ...(what.supersededBy === undefined ? {} : { supersededBy: what.supersededBy }),
  };
}

function assertInvariants(before: Rollout, after: Rollout, observation: RolloutObservation): void {
  const { splits } = desiredRoute(after, observation.replicas);
  const sum = splits.reduce((total, split) => total + split.basisPoints, 0);
  expect(sum === 10_000 || (splits.length === 0 && after.fromRevision === 0)).toBe(true);
  const wanted = desiredRevisions(after);
  for (const split of splits) expect(wanted).toContain(split.revision);
  if (!isRolloutEnded(after.state)) expect(wanted).toContain(after.toRevision);
  if (after.fromRevision !== 0 && !isRolloutEnded(after.state)) {
    expect(wanted).toContain(after.fromRevision);
    const capacity = capacityBasisPoints(countsOf(observation.replicas, NEW));
    expect(shareOf(after, observation)).toBeLessThanOrEqual(capacity);
  }
  if (after.state === RolloutState.ROLLED_BACK) expect(shareOf(after, observation)).toBe(0);
  if (isRolloutEnded(before.state)) expect(after).toBe(before);
  if (before.state === RolloutState.ROLLING_BACK) expect(isGoingBack(after)).toBe(true);
  expect(after.transitions.length).toBeLessThanOrEqual(64);
}

function shareOf(rollout: Rollout, { replicas }: RolloutObservation): number {
  return desiredRoute(rollout, replicas).splits.find((split) => split.revision === NEW)?.basisPoints ?? 0;
}

function isGoingBack({ state }: Rollout): boolean {
  return state === RolloutState.ROLLING_BACK || state === RolloutState.ROLLED_BACK;
}
