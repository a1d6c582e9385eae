import { create, equals } from "@bufbuild/protobuf";
import {
  type Rollout,
  RolloutState,
  type Route,
  RouteMatchSchema,
  RouteMirrorSchema,
  RouteSchema,
  type RouteSplit,
  RouteSplitSchema,
  RouteStickySchema,
  RouteWaveSchema,
} from "@kedge/proto";
import { ALL_BASIS_POINTS, capacityBasisPoints, countsOf } from "./capacity.ts";
import type { ReplicaView, ReplicaWorld, RolloutObservation, RouteTraffic, WaveView } from "./observation.ts";
import { newShare, phaseOf, stepInForce } from "./share.ts";
import { waveCount } from "./strategy-steps.ts";

/** Time between windows while a rollout is judged, and otherwise. */
export const JUDGED_WINDOW_MS = 250;
const IDLE_WINDOW_MS = 2000;

/**
 * What the route of a deployment must say; the fields of `Route` that are not the writer's own. Splits ascend by
 * revision, hold shares above zero only and add up to 10,000, or are empty while no revision may take traffic.
 */
export type RoutePlan = Pick<Route, "windowMs" | "stableRevision" | "reason" | "warmUp"> & RouteTraffic;

/**
 * The route that a rollout wants now, from its state and the replicas alone, so that a controller may write it again
 * at any time. The new revision never gets more than its ready replicas carry; the old one takes the rest.
 */
export function desiredRoute(rollout: Rollout, replicas: ReplicaView, waves?: readonly WaveView[]): RoutePlan {
  const world: ReplicaWorld = waves === undefined ? { replicas } : { replicas, waves };
  const shares = Array.from({ length: waveCount(rollout) }, (_, wave) => newShare(rollout, world, wave));
  const share = shares.at(-1) ?? 0;
  const extras = extraTraffic(rollout, replicas);
  const compares = shares.some((each) => each > 0 && each < ALL_BASIS_POINTS) || shares.some((each) => each !== share);
  const judged = isJudged(rollout) && (compares || extras.matches.length > 0 || extras.mirrors.length > 0);
  const warmUp = rollout.strategy?.warmUp;
  const proven = rollout.state === RolloutState.SUCCEEDED || rollout.fromRevision === 0;
  return {
    splits: splitsOf(rollout, share),
    waves: routeWaves(rollout, shares),
    ...extras,
    windowMs: judged ? JUDGED_WINDOW_MS : IDLE_WINDOW_MS,
    stableRevision: proven ? rollout.toRevision : rollout.fromRevision,
    reason: reasonOf(rollout, shares),
    ...(warmUp === undefined ? {} : { warmUp }),
  };
}

/** Tells whether what windows show now is for the judge: not in steps without analysis, nor once it was overruled. */
export function isJudged(rollout: Rollout): boolean {
  return !rollout.unjudged && !rollout.returning && (stepInForce(rollout)?.judged ?? true);
}

/** Tells whether nodes do with requests what a plan wants; the order of splits and shares of zero do not count. */
export function isSameTraffic(applied: NonNullable<RolloutObservation["routeInForce"]>, plan: RouteTraffic): boolean {
  return equals(RouteSchema, comparable(trafficOf(applied)), comparable(plan));
}

/** Tells whether a route sends or copies anything to a revision. */
export function isRoutedTo(applied: NonNullable<RolloutObservation["routeInForce"]>, revision: number): boolean {
  const { splits = [], waves = [], matches = [], mirrors = [], previewRevision = 0 } = trafficOf(applied);
  const shares = [splits, ...waves.map((wave) => wave.splits), mirrors].flat();
  if (shares.some((share) => share.revision === revision && share.basisPoints > 0)) return true;
  return previewRevision === revision || matches.some((match) => match.revision === revision);
}

function trafficOf(applied: NonNullable<RolloutObservation["routeInForce"]>): Partial<RouteTraffic> {
  return Symbol.iterator in applied ? { splits: [...applied] } : applied;
}

function comparable({ splits = [], waves = [], ...rest }: Partial<RouteTraffic>): Route {
  const { matches = [], mirrors = [], previewRevision = 0, sticky } = rest;
  return create(RouteSchema, {
    ...{ matches, mirrors, previewRevision, splits: ordered(splits) },
    ...(sticky === undefined ? {} : { sticky }),
    waves: waves.map((wave) => ({ nodeSelector: wave.nodeSelector, splits: ordered(wave.splits) })),
  });
}

function ordered(splits: readonly RouteSplit[]): RouteSplit[] {
  return splits.filter((split) => split.basisPoints > 0).toSorted((a, b) => a.revision - b.revision);
}

function splitsOf(rollout: Rollout, share: number): RouteSplit[] {
  const rest = rollout.fromRevision === 0 ? 0 : ALL_BASIS_POINTS - share;
  const splits = [
    create(RouteSplitSchema, { revision: rollout.fromRevision, basisPoints: rest }),
    create(RouteSplitSchema, { revision: rollout.toRevision, basisPoints: share }),
  ];
  return ordered(splits);
}

/** The last wave has the route's own splits; the others are named only while any of them differs. */
function routeWaves(rollout: Rollout, shares: readonly number[]): RouteTraffic["waves"] {
  const kind = rollout.strategy?.kind;
  if (kind?.case !== "canary" || shares.every((share) => share === shares.at(-1))) return [];
  return shares.slice(0, -1).map((share, wave) => {
    const nodeSelector = kind.value.waves[wave]?.nodeSelector ?? {};
    return create(RouteWaveSchema, { nodeSelector, splits: splitsOf(rollout, share) });
  });
}

type ExtraTraffic = Pick<RouteTraffic, "matches" | "mirrors" | "previewRevision" | "sticky">;

/** What a step asks for besides a share. Copies and matches keep to what ready replicas carry as well. */
function extraTraffic(rollout: Rollout, replicas: ReplicaView): ExtraTraffic {
  const plan: ExtraTraffic = { matches: [], mirrors: [], previewRevision: 0 };
  const step = stepInForce(rollout);
  if (step === undefined) return plan;
  const revision = rollout.toRevision;
  const carried = capacityBasisPoints(countsOf(replicas, revision));
  const kind = rollout.strategy?.kind;
  if (step.traffic === "preview") plan.previewRevision = revision;
  if (step.traffic === "match" && carried >= step.readyPercent * 100 && kind?.case === "abTest") {
    const match = kind.value.by.case === "match" ? kind.value.by.value : undefined;
    if (match) plan.matches.push(create(RouteMatchSchema, { match, revision }));
  }
  const mirrored = Math.min(carried, step.readyPercent * 100);
  if (step.traffic === "mirror" && mirrored > 0) {
    plan.mirrors.push(create(RouteMirrorSchema, { revision, basisPoints: mirrored }));
  }
  const hash = kind?.case === "abTest" && kind.value.by.case === "hash" ? kind.value.by.value : undefined;
  const key = hash ?? rollout.strategy?.sticky;
  if (key && step.weightPercent > 0) plan.sticky = create(RouteStickySchema, { key, salt: rollout.salt });
  return plan;
}

function reasonOf(rollout: Rollout, shares: readonly number[]): string {
  const percents = [...new Set(shares)].map((share) => `${share / 100} %`).join(", ");
  const paused = rollout.state === phaseOf(rollout) ? "" : "paused while ";
  const state = RolloutState[phaseOf(rollout)].toLowerCase().replaceAll("_", " ");
  return `${paused}${state}: ${percents} on revision ${rollout.toRevision}`;
}
