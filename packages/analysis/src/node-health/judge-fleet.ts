import { type Breadth, type Comparison, compareBreadth, compareWorkloads } from "./compare-workloads.ts";
import type { FleetFacts, NodeJudgement, NodeLevel } from "./health-types.ts";
import { type OwnSign, ownSigns } from "./own-signs.ts";

/** Chance of calling a node sick that is like the others, at one look; shared by all nodes. */
const SICK_ALPHA = 0.001;
const SUSPECT_ALPHA = 0.05;
/** Part of the evidence needed that one workload can give: nothing fails a node alone. */
const MOST_OF_ONE = 0.75;
const MAX_REASONS = 8;

/** What it takes, as logarithms of evidence. */
interface Bars {
  readonly sick: number;
  readonly suspect: number;
}

/** What one node is judged by. */
interface Yardstick {
  readonly bars: Bars;
  readonly before: NodeLevel;
  readonly span: string;
}

/**
 * Judges every node of a fleet on what failed on it, beside the same on the others: what fails everywhere is the fault of
 * the program or of something in common, what fails here alone is the node's. One workload alone makes a node suspect, never
 * sick: its replicas had better move. What it takes grows with the number of nodes that are looked at. A full disk and
 * coming and going need no comparison.
 */
export function judgeFleet({ nodes, workloads, span, before }: FleetFacts): ReadonlyMap<string, NodeJudgement> {
  const comparisons = compareWorkloads(workloads, span);
  const breadths = compareBreadth(workloads);
  const logNodes = Math.log(Math.max(1, nodes.size));
  const bars = { sick: logNodes - Math.log(SICK_ALPHA), suspect: logNodes - Math.log(SUSPECT_ALPHA) };
  return new Map(
    [...nodes].map(([nodeId, own]) => {
      const yardstick = { bars, span, before: before?.get(nodeId) ?? "healthy" };
      const compared = judgeComparisons(comparisons.get(nodeId) ?? [], yardstick);
      const signs = [...ownSigns(own, yardstick.before, span), ...judgeBreadth(breadths.get(nodeId), yardstick)];
      const reasons = [...signs.map(({ reason }) => reason), ...compared.reasons].slice(0, MAX_REASONS);
      const level = worstOf([compared.level, ...signs.map((sign) => sign.level)]);
      return [nodeId, { level, reasons, misfits: compared.misfits }];
    }),
  );
}

/** Workloads are independent of each other on a node that is like the others, so evidence multiplies. */
function judgeComparisons(comparisons: readonly Comparison[], { bars, before }: Yardstick): NodeJudgement {
  const worse = comparisons
    .filter(({ isWorse, logEvidence }) => isWorse && logEvidence > 0)
    .toSorted((a, b) => b.logEvidence - a.logEvidence);
  const misfits = worse.filter(({ logEvidence }) => logEvidence >= bars.suspect);
  const total = totalEvidence(comparisons, MOST_OF_ONE * bars.sick);
  const several = new Set(worse.map(({ workload }) => workload)).size > 1;
  let level = worse.length === 0 ? "healthy" : levelOf(total, { bars, before });
  if (level === "sick" && !several) level = "suspect";
  if (level === "healthy" && misfits.length > 0) level = "suspect";
  return { level, misfits, reasons: level === "healthy" ? [] : worse.map(({ reason }) => reason) };
}

function totalEvidence(comparisons: readonly Comparison[], mostOfOne: number): number {
  let total = 0;
  for (const own of Map.groupBy(comparisons, ({ workload }) => workload).values()) {
    // Failed replicas fail requests too: of one workload the worse counts.
    total += Math.min(mostOfOne, Math.max(...own.map(({ logEvidence }) => logEvidence)));
  }
  return total;
}

function judgeBreadth(breadth: Breadth | undefined, yardstick: Yardstick): OwnSign[] {
  if (breadth === undefined) return [];
  const level = levelOf(breadth.logEvidence, yardstick);
  if (level === "healthy") return [];
  const text = `${breadth.failing} of ${breadth.tried} different jobs and revisions failed here, far fewer elsewhere`;
  return [{ level, reason: { text, clears: `fewer of them fail within ${yardstick.span}` } }];
}

/** It takes less to stay at a level than to get there. */
function levelOf(logEvidence: number, { bars, before }: Pick<Yardstick, "bars" | "before">): NodeLevel {
  if (logEvidence >= (before === "sick" ? bars.suspect : bars.sick)) return "sick";
  return logEvidence >= (before === "healthy" ? bars.suspect : bars.suspect / 2) ? "suspect" : "healthy";
}

function worstOf(levels: readonly NodeLevel[]): NodeLevel {
  if (levels.includes("sick")) return "sick";
  return levels.includes("suspect") ? "suspect" : "healthy";
}
