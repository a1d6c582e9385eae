import type { CauseQuery, ComponentChange, ComponentGroup, Suspect } from "./cause-types.ts";
import { type CommonFactor, commonFactor } from "./common-factor.ts";
import { type Involvement, involvements } from "./propagation.ts";
import type { RankedMetric } from "./rank-metrics.ts";

/** A change at the very start of the incident makes its target so many times as suspect again. */
const CHANGE_ODDS = 3;
/** A change this long before the incident counts by 1/e of that. */
const CHANGE_FADE_SECONDS = 900;
/** Clocks and windows are not exact: a change so soon after the first evidence may still be its cause. */
const CHANGE_SLACK_SECONDS = 30;
/** A component with the best ranked metric counts this much more than one with the last. */
const ORDER_SHARE = 1;
/** Explained by more than this share, the callee is named. */
const MOSTLY = 0.5;
const REASON_METRICS = 2;

/**
 * Suspects of an incident, best first, each with its reasons: how anomalous the component is and how high its metrics
 * rank, less what the callees explain (see `involvements`); groups by what their members have in common (see `commonFactor`);
 * and both by whether they were changed shortly before, which in a system that deploys is the commonest cause of all.
 * Only what shows some evidence of its own is a suspect. Deterministic; ties go by name.
 */
export function rankCauses(query: CauseQuery): Suspect[] {
  const involved = involvements(query.metrics, query.calls);
  const groups = query.groups ?? [];
  const factors = groups.map((group) => ({ group, factor: commonFactor(group, groups, involved) }));
  const shared = sharedByMembers(factors);
  const suspects = [
    ...[...involved].map(([name, involvement]) => componentSuspect(name, involvement, shared, query)),
    ...factors.map(({ group, factor }) => groupSuspect(group, factor, query)),
  ];
  return suspects.filter(({ weight }) => weight > 0).sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1));
}

/** For each member of a group the largest contrast of its groups: what they have in common is not a member's own fault. */
function sharedByMembers(
  factors: readonly { readonly group: ComponentGroup; readonly factor: CommonFactor }[],
): Map<string, number> {
  const shared = new Map<string, number>();
  for (const { group, factor } of factors) {
    for (const name of group.members) shared.set(name, Math.max(shared.get(name) ?? 0, factor.contrast));
  }
  return shared;
}

function componentSuspect(
  name: string,
  involvement: Involvement,
  shared: ReadonlyMap<string, number>,
  query: CauseQuery,
): Suspect {
  const metrics = query.metrics.filter(({ component }) => component === name);
  const order = query.metrics.findIndex(({ component }) => component === name);
  const place = order < 0 ? 0 : ORDER_SHARE / (1 + order);
  const change = recentChange(name, query);
  const { anomaly, unexplained, blamed } = involvement;
  const reasons = [
    ...metrics
      .slice(0, REASON_METRICS)
      .filter(({ sigmas }) => sigmas > 0)
      .map(describeMetric),
    ...change.reasons,
    describePropagation(anomaly, unexplained, blamed),
  ];
  const weight = unexplained * (1 - (shared.get(name) ?? 0)) * (1 + place) * change.factor;
  return { name, kind: "component", weight, metrics, reasons };
}

function groupSuspect(group: ComponentGroup, factor: CommonFactor, query: CauseQuery): Suspect {
  const { name, kind } = group;
  const members = new Set(group.members);
  const change = recentChange(name, query);
  const { anomalousInside, inside, anomalousOutside, outside } = factor;
  const reasons = [
    `${anomalousInside} of ${inside} on this ${kind} are anomalous, ${anomalousOutside} of ${outside} elsewhere`,
    ...change.reasons,
  ];
  // What several have in common beats any one of them, by how many they are.
  const weight = factor.contrast * (1 + Math.log2(Math.max(1, anomalousInside))) * change.factor;
  return { name, kind, weight, metrics: query.metrics.filter(({ component }) => members.has(component)), reasons };
}

function recentChange(target: string, query: CauseQuery): { readonly factor: number; readonly reasons: string[] } {
  let best: ComponentChange | undefined;
  for (const change of query.changes ?? []) {
    if (change.target !== target || change.epochSeconds > query.startedAtSeconds + CHANGE_SLACK_SECONDS) continue;
    if (best === undefined || change.epochSeconds > best.epochSeconds) best = change;
  }
  if (best === undefined) return { factor: 1, reasons: [] };
  const age = Math.max(0, query.startedAtSeconds - best.epochSeconds);
  const share = Math.exp(-age / CHANGE_FADE_SECONDS);
  const reasons = share > 0.05 ? [`${best.what} ${Math.round(age)} s before`] : [];
  return { factor: 1 + CHANGE_ODDS * share, reasons };
}

function describeMetric({ metric, sigmas, distance }: RankedMetric): string {
  const apart = distance === undefined ? "" : `, distributions ${distance.toFixed(2)} apart`;
  return `${metric} rose by ${sigmas.toFixed(1)} standard deviations${apart}`;
}

function describePropagation(anomaly: number, unexplained: number, blamed: string | undefined): string {
  if (blamed === undefined) return "nothing it calls is anomalous";
  const explained = 1 - unexplained / (anomaly || 1);
  const share = `${Math.round(100 * explained)} %`;
  return explained > MOSTLY
    ? `what it calls explains ${share}, ${blamed} most`
    : `what it calls explains only ${share}`;
}
