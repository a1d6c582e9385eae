import { create, equals } from "@bufbuild/protobuf";
import { isRolloutEnded } from "@kedge/domain";
import {
  AnalysisAction,
  AnalysisSpecSchema,
  DeadlineAction,
  type Deployment,
  DeploymentSchema,
  type LocalDecision,
  LocalDecisionKind,
  RequestSource,
  RevisionState,
  type Rollout,
  RolloutState,
  type Route,
  RouteSchema,
  type Strategy,
  StrategySchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { capacityBasisPoints, countsOf, waveReplicas } from "./capacity.ts";
import { retryRevision, rollbackDeployment } from "./deployment-requests.ts";
import { desiredRoute } from "./desired-route.ts";
import { desiredScales } from "./desired-scales.ts";
import { type LocalScale, shareOf } from "./local/held-route.ts";
import { abortRollout, pauseRollout, promoteRollout, resumeRollout } from "./requests.ts";
import { hasActiveRollout } from "./revisions.ts";
import { phaseOf } from "./share.ts";
import { type DeploymentObservation, stepDeployment } from "./step-deployment.ts";
import { maxFailedPercent, waveCount } from "./strategy-steps.ts";
import { Seeded } from "./testing/seeded.ts";
import { SimulatedController } from "./testing/simulated-controller.ts";
import { SimulatedFleet } from "./testing/simulated-fleet.ts";

/** KEDGE_SIMULATION_RUNS makes it thousands. */
const RUNS = Number(process.env["KEDGE_SIMULATION_RUNS"] ?? 25);
const TIMEOUT_MS = 60_000 + RUNS * 500;
const ROUNDS = 70;
const CALM_ROUNDS = 120;

const STEPS = [
  { weightPercent: 10, holdSeconds: 20, minRequests: 100 },
  { weightPercent: 50, manual: true },
];
const STRATEGIES: Readonly<Record<string, Strategy["kind"]>> = {
  canary: create(StrategySchema, { kind: { case: "canary", value: { steps: STEPS } } }).kind,
  waves: create(StrategySchema, {
    kind: {
      case: "canary",
      value: {
        ...{ steps: STEPS, maxFailedPercent: 40 },
        waves: [
          { name: "eu", nodeSelector: { site: "eu" } },
          { name: "us", nodeSelector: { site: "us" } },
          { name: "rest" },
        ],
      },
    },
  }).kind,
  "blue-green": create(StrategySchema, { kind: { case: "blueGreen", value: { previewSeconds: 30, manual: true } } })
    .kind,
  rolling: create(StrategySchema, {
    kind: { case: "rolling", value: { maxSurge: { value: { case: "count", value: 1 } } } },
  }).kind,
  "rolling without surge": create(StrategySchema, {
    kind: {
      case: "rolling",
      value: {
        maxSurge: { value: { case: "count", value: 0 } },
        maxUnavailable: { value: { case: "percent", value: 40 } },
      },
    },
  }).kind,
  "A/B test": create(StrategySchema, {
    kind: {
      case: "abTest",
      value: {
        by: { case: "match", value: { key: { source: RequestSource.HEADER, name: "x" }, values: ["b"] } },
        ...{ runSeconds: 60, weightPercent: 50 },
      },
    },
  }).kind,
  shadow: create(StrategySchema, { kind: { case: "shadow", value: { mirrorPercent: 40, runSeconds: 60 } } }).kind,
  "all at once": create(StrategySchema, { kind: { case: "allAtOnce", value: {} } }).kind,
};

test.each(Object.keys(STRATEGIES))(
  "whatever is killed, late or repeated, the invariants hold: %s",
  (name) => {
    const kind = STRATEGIES[name] ?? { case: undefined };
    const ends = new Map<RolloutState, number>();
    let merged = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      try {
        const { rollout, history } = run(seed, kind);
        const last = rollout?.state ?? RolloutState.UNSPECIFIED;
        ends.set(last, (ends.get(last) ?? 0) + 1);
        merged += [...history, ...(rollout ? [rollout] : [])].flatMap((each) => each.localDecisions).length;
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    // Else the simulation says nothing.
    expect(ends.get(RolloutState.SUCCEEDED) ?? 0).toBeGreaterThan(RUNS / 20);
    // Nobody judges a preview.
    if (kind.case !== "blueGreen") expect(merged).toBeGreaterThan(RUNS / 10);
  },
  TIMEOUT_MS,
);

function run(seed: number, kind: Strategy["kind"]): Deployment {
  const random = new Seeded(seed);
  const waves = kind.case === "canary" && kind.value.waves.length > 0 ? kind.value.waves.length : 1;
  const fleet = new SimulatedFleet(random, { waves, perWave: waves > 1 ? 2 : 2 + random.below(4) });
  const witness = new Witness(fleet);
  const controller = new SimulatedController({
    ...{ random, fleet },
    strategy: create(StrategySchema, {
      ...{ kind, progressDeadlineSeconds: 300, scaleDownDelaySeconds: random.pick(0, 60) },
      deadlineAction: random.pick(DeadlineAction.ABORT, DeadlineAction.PAUSE),
    }),
    analysis: create(AnalysisSpecSchema, {
      action: random.pick(AnalysisAction.ROLLBACK, AnalysisAction.PAUSE),
      watchSeconds: random.pick(0, 120),
    }),
    onStored: (before, after, observation) => witness.check(before, after, observation, controller.now),
  });
  witness.allow(controller.apply());
  for (let round = 0; round < ROUNDS; round++) {
    controller.now += random.below(30) * 1000;
    fleet.tick(controller.now);
    witness.checkNodes();
    if (random.chance(0.12)) ask(controller, random, witness);
    controller.reconcile();
  }
  settle(controller, fleet, witness);
  return controller.deployment;
}

/** People do something; that there is nothing to go back to, or to try again, is an answer. */
function ask(controller: SimulatedController, random: Seeded, witness: Witness): void {
  const request = { who: "eva", nowMs: controller.now };
  const steer = (change: (rollout: Rollout) => Rollout) =>
    controller.edit((draft) => {
      if (draft.rollout && hasActiveRollout(draft)) draft.rollout = change(draft.rollout);
    });
  const wish = (change: (draft: Deployment) => number) => {
    try {
      controller.edit((draft) => witness.allow(change(draft)));
    } catch (error) {
      expect(error).toMatchObject({ name: "KedgeError" });
    }
  };
  const acts = [
    () => witness.allow(controller.apply()),
    () => witness.allow(controller.apply()),
    () => steer((rollout) => pauseRollout(rollout, controller.now)),
    () => steer((rollout) => resumeRollout(rollout, controller.now)),
    () => steer((rollout) => abortRollout(rollout, controller.now)),
    () => wish((draft) => rollbackDeployment(draft, 0, request)),
    () => wish((draft) => retryRevision(draft, 0, request)),
    () => steer(promoteRollout),
  ];
  acts[random.below(acts.length)]?.();
}

/** Once nothing breaks any more and people answer, whatever is under way ends. */
function settle(controller: SimulatedController, fleet: SimulatedFleet, witness: Witness): void {
  controller.isCalm = true;
  fleet.heal();
  const isOpen = (): boolean =>
    !fleet.isQuiet || hasActiveRollout(controller.deployment) || controller.deployment.nextRollout !== undefined;
  for (let round = 0; round < CALM_ROUNDS && (round < 3 || isOpen()); round++) {
    controller.now += 20_000;
    fleet.tick(controller.now);
    witness.checkNodes();
    controller.edit((draft) => {
      if (draft.rollout) draft.rollout = promoteRollout(resumeRollout(draft.rollout, controller.now));
    });
    controller.reconcile();
  }
  const { rollout, stableRevision } = controller.deployment;
  expect(isRolloutEnded(rollout?.state ?? RolloutState.UNSPECIFIED)).toBe(true);
  fleet.tick(controller.now);
  witness.checkAgreed(stableRevision);
}

/** Checks everything that must hold of what is stored and of the route that follows from it. */
class Witness {
  readonly #fleet: SimulatedFleet;
  /** Revisions that may take traffic: asked for by a person and not rolled back since. */
  readonly #allowed = new Set<number>();

  constructor(fleet: SimulatedFleet) {
    this.#fleet = fleet;
  }

  allow(revision: number): void {
    this.#allowed.add(revision);
  }

  /** Whatever route reaches a node: what it holds against a revision holds, within what the old one can carry. */
  checkNodes(): void {
    for (const node of this.#fleet.nodes) {
      if (node.held.length === 0) continue;
      const scale = this.#fleet.scaleOf(node);
      const served = node.served(scale);
      expect(served?.splits.reduce((sum, { basisPoints }) => sum + basisPoints, 0)).toBe(10_000);
      for (const decision of node.held) assertHeld(decision, served ?? create(RouteSchema), scale);
    }
  }

  /** In the end every node has been heard, holds nothing any more, and serves the stable revision alone. */
  checkAgreed(stableRevision: number): void {
    for (const node of this.#fleet.nodes) {
      expect(node.held).toEqual([]);
      const splits = node.served(this.#fleet.scaleOf(node))?.splits;
      if (stableRevision > 0) expect(splits).toMatchObject([{ revision: stableRevision, basisPoints: 10_000 }]);
    }
  }

  check(before: Deployment, after: Deployment, observation: DeploymentObservation, now: number): void {
    assertRevisions(after);
    const rollout = after.rollout;
    if (rollout === undefined) return;
    assertHistory(before, after);
    const route = desiredRoute(rollout, observation.replicas, observation.waves);
    this.#assertMayServe(rollout, after, route.splits);
    assertSplits(rollout, route);
    assertCapacity(rollout, observation);
    assertSaferWins(rollout);
    assertReplicas(rollout, route, now);
    assertRolling(before.rollout, rollout, observation, this.#fleet.total);
    const again = stepDeployment({ deployment: after, now, observation });
    // What ended may make room for what waits; then that has begun, and has nothing more to do now.
    if (!equals(DeploymentSchema, again.deployment, after)) expect(again.deployment).toEqual(after);
  }

  /** A revision that was rolled back serves again only when somebody asks for it. */
  #assertMayServe(rollout: Rollout, { revisions }: Deployment, splits: Route["splits"]): void {
    for (const { number, state } of revisions) if (state === RevisionState.ROLLED_BACK) this.#allowed.delete(number);
    if (rollout.state === RolloutState.ROLLED_BACK)
      expect(splits.every((split) => split.revision !== rollout.toRevision)).toBe(true);
    if (isRolloutEnded(rollout.state)) return;
    expect(this.#allowed.has(rollout.toRevision)).toBe(true);
  }
}

function assertHeld(
  { kind, revision, fromRevision, heldBasisPoints }: LocalDecision,
  served: Route,
  scale: LocalScale,
) {
  const isWhole = scale.ready(fromRevision) > 0 && scale.ready(fromRevision) === scale.assigned(fromRevision);
  const most = kind === LocalDecisionKind.PAUSE ? heldBasisPoints : 0;
  const isMeasured = kind === LocalDecisionKind.PAUSE || (isWhole && !served.judgement?.exchanging);
  if (isMeasured) expect(shareOf(served, revision)).toBeLessThanOrEqual(most);
}

function assertRevisions({ revisions, stableRevision }: Deployment): void {
  const stable = revisions.filter(({ state }) => state === RevisionState.STABLE).map(({ number }) => number);
  expect(stable).toEqual(stableRevision === 0 ? [] : [stableRevision]);
}

function assertHistory(before: Deployment, { rollout, history }: Deployment): void {
  expect(rollout?.transitions.every(({ reason }) => reason !== "")).toBe(true);
  const known = before.rollout;
  if (known === undefined || !isRolloutEnded(known.state)) return;
  const same = [rollout, ...history].find((each) => each?.id === known.id);
  expect(same?.state).toBe(known.state);
}

function assertSplits(rollout: Rollout, { splits, waves }: Pick<Route, "splits" | "waves">): void {
  for (const each of [splits, ...waves.map((wave) => wave.splits)]) {
    const sum = each.reduce((total, split) => total + split.basisPoints, 0);
    expect(sum === 10_000 || (each.length === 0 && rollout.fromRevision === 0)).toBe(true);
    const known = [rollout.fromRevision, rollout.toRevision];
    expect(each.every((split) => known.includes(split.revision))).toBe(true);
  }
}

function assertCapacity(rollout: Rollout, observation: DeploymentObservation): void {
  if (rollout.fromRevision === 0 || isRolloutEnded(rollout.state)) return;
  const { splits, waves, mirrors, matches } = desiredRoute(rollout, observation.replicas, observation.waves);
  const count = waveCount(rollout);
  for (let wave = 0; wave < count; wave++) {
    const replicas = waveReplicas(observation, wave, count);
    const fresh = countsOf(replicas, rollout.toRevision);
    const old = countsOf(replicas, rollout.fromRevision);
    const shares = waves[wave]?.splits ?? splits;
    const share = shares.find((split) => split.revision === rollout.toRevision)?.basisPoints ?? 0;
    // A rolling rollout may run on fewer replicas than wanted; then each side carries its part of those there are.
    const oldTarget = rollout.rolling?.oldTarget ?? old.desired;
    const there =
      rollout.rolling === undefined
        ? fresh.desired
        : Math.min(fresh.desired, fresh.ready + Math.min(old.ready, oldTarget));
    if (oldTarget > 0) expect(share).toBeLessThanOrEqual(capacityBasisPoints({ ...fresh, desired: there }));
    const extra = [...mirrors.map((mirror) => mirror.basisPoints), ...matches.map(() => 5000)];
    for (const wanted of extra) expect(wanted).toBeLessThanOrEqual(capacityBasisPoints(fresh));
    if (rollout.state === RolloutState.ROLLING_BACK && share < (rollout.leftPercent[wave] ?? 0) * 100 - 100) {
      // Less is left than might be only because the old side carries the rest, or the new one carries no more.
      const carried = capacityBasisPoints({ ...old, ready: Math.min(old.ready, oldTarget) });
      expect(10_000 - share <= carried + 100 || share >= capacityBasisPoints(fresh) - 100).toBe(true);
    }
  }
}

/** A node that rolled back alone takes the rollout back, unless some nodes may fail. */
function assertSaferWins(rollout: Rollout): void {
  const isBack = rollout.localDecisions.some(({ kind }) => kind === LocalDecisionKind.ROLLBACK);
  if (!isBack || isRolloutEnded(rollout.state) || maxFailedPercent(rollout) > 0) return;
  expect(phaseOf(rollout)).toBe(RolloutState.ROLLING_BACK);
}

/** No revision with traffic is without replicas, and both are there while the rollout runs. */
function assertReplicas(rollout: Rollout, { splits, waves }: Pick<Route, "splits" | "waves">, now: number): void {
  const scales = desiredScales(rollout, now).map(({ revision }) => revision);
  for (const split of [splits, ...waves.map((wave) => wave.splits)].flat()) expect(scales).toContain(split.revision);
  if (isRolloutEnded(rollout.state) || rollout.rolling !== undefined) return;
  expect(scales).toContain(rollout.toRevision);
  if (rollout.fromRevision > 0) expect(scales).toContain(rollout.fromRevision);
}

/** A rolling rollout keeps to its surge, and takes a replica away only while enough others are ready. */
function assertRolling(
  before: Rollout | undefined,
  after: Rollout,
  observation: DeploymentObservation,
  total: number,
): void {
  const kind = after.strategy?.kind;
  if (after.rolling === undefined || kind?.case !== "rolling" || isRolloutEnded(after.state)) return;
  const unavailable = kind.value.maxUnavailable === undefined ? 0 : Math.floor(total * 0.4);
  const { oldTarget, newTarget } = after.rolling;
  const surge = unavailable === 0 ? 1 : 0;
  expect(oldTarget + newTarget).toBeLessThanOrEqual(total + surge);
  if (before?.id !== after.id || before.rolling === undefined) return;
  const oldReady = countsOf(observation.replicas, after.fromRevision).ready;
  const newReady = countsOf(observation.replicas, after.toRevision).ready;
  if (oldTarget < before.rolling.oldTarget)
    expect(oldTarget + Math.min(newReady, newTarget)).toBeGreaterThanOrEqual(total - unavailable);
  if (newTarget < before.rolling.newTarget)
    expect(newTarget + Math.min(oldReady, oldTarget)).toBeGreaterThanOrEqual(total - unavailable);
}
