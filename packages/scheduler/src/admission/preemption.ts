import type { Amounts } from "@kedge/domain";
import type { Cluster } from "../cluster.ts";
import { compileDemand } from "../compiled-demand.ts";
import { matchObstacle } from "../obstacle.ts";
import type { RunningJob, WaitingJob } from "./admission-types.ts";
import { addTo, claimedAmounts, dominantShare, freeOn, type Tally } from "./amounts.ts";
import type { Holds } from "./holds.ts";
import { isExpendable, type Running, type RunningJobs } from "./running-jobs.ts";
import { compareHarm, type Expendable, leastVictims, totalHarm } from "./victims.ts";

/** Nodes looked at exactly, the most promising ones by sums of amounts. */
const MAX_NODES = 16;
/** Added to priorities, so that each victim counts: the lowest is −100. */
const PRIORITY_OFFSET = 101;

/** Where preemption looks. */
export interface PreemptionSite {
  readonly cluster: Cluster;
  readonly running: RunningJobs;
  readonly holds: Holds;
  /** What the cluster has. */
  readonly total: Amounts;
  readonly nowMs: number;
  /**
   * Candidates by priority and node, as they are found. Good for a pass: what a pass places is of no lower priority than
   * what preempts after it, and nodes on which others were told to end have holds.
   */
  readonly known: Map<string, readonly Candidate[]>;
}

/** A running job that may be ended, with what is lost by that. */
export interface Candidate extends Expendable {
  readonly job: RunningJob;
  readonly amounts: Amounts;
}

/** What needs room, and how much it counts. */
export type Claimant = Pick<WaitingJob, "demand" | "priority">;

/** A node, and the jobs that have to end there. */
export interface Eviction {
  readonly nodeId: string;
  readonly victims: readonly Candidate[];
}

/**
 * The running jobs of lower priority, all on one node, whose end does least harm and lets a claimant in: the lowest
 * sum of priorities (each counted from −101), then the least work lost (time run × dominant share), then the fewest.
 * Undefined when there are none. Only what is preemptible and was not told to end already is looked at.
 */
export function leastEviction(site: PreemptionSite, claimant: Claimant): Eviction | undefined {
  let best: (Eviction & { readonly harm: readonly number[] }) | undefined;
  for (const { nodeId, candidates } of promisingNodes(site, claimant)) {
    const victims = leastVictims(site.cluster, nodeId, claimant.demand, candidates);
    if (victims === undefined || victims.length === 0) continue;
    const harm = totalHarm(victims);
    if (best === undefined || compareHarm(harm, best.harm) < 0) best = { nodeId, victims, harm };
  }
  return best;
}

interface Promising {
  readonly nodeId: string;
  readonly candidates: readonly Candidate[];
  readonly harm: readonly number[];
}

function promisingNodes(site: PreemptionSite, { demand, priority }: Claimant): Promising[] {
  const { cluster, running, holds } = site;
  const compiled = compileDemand(demand);
  const asked = claimedAmounts(demand.resources);
  const found: Promising[] = [];
  for (const nodeId of running.nodes()) {
    const entry = cluster.entry(nodeId);
    // What ends on a node with holds is counted on by those who wait for it.
    if (entry === undefined || holds.on(nodeId).length > 0 || matchObstacle(entry, compiled) !== undefined) continue;
    const candidates = candidatesOn(site, nodeId, priority);
    const harm = candidates.length === 0 ? undefined : estimatedHarm(asked, freeOn(entry), candidates);
    if (harm !== undefined) found.push({ nodeId, candidates, harm });
  }
  found.sort((a, b) => compareHarm(a.harm, b.harm) || (a.nodeId < b.nodeId ? -1 : 1));
  return found.slice(0, MAX_NODES);
}

function candidatesOn(site: PreemptionSite, nodeId: string, priority: number): readonly Candidate[] {
  const key = `${priority} ${nodeId}`;
  const known = site.known.get(key) ?? findCandidates(site, nodeId, priority);
  site.known.set(key, known);
  return known;
}

/** Dearest first. */
function findCandidates(
  { cluster, running, total, nowMs }: PreemptionSite,
  nodeId: string,
  priority: number,
): Candidate[] {
  const candidates: Candidate[] = [];
  for (const entry of running.on(nodeId)) {
    const { job } = entry;
    if (job.priority >= priority || !isExpendable(job) || cluster.reservation(job.key)?.nodeId !== nodeId) continue;
    candidates.push({
      key: job.key,
      demand: job.demand,
      job,
      amounts: entry.amounts,
      harm: harmOf(entry, total, nowMs),
    });
  }
  return candidates.sort((a, b) => compareHarm(b.harm, a.harm) || (a.key < b.key ? -1 : 1));
}

function harmOf({ job, amounts }: Running, total: Amounts, nowMs: number): readonly number[] {
  const work = Math.max(0, nowMs - job.startedAtMs) * dominantShare(amounts, total);
  return [job.priority + PRIORITY_OFFSET, work, 1];
}

/** What the end of all would cost, less those that can stay, by sums of amounts; undefined when all are not enough. */
function estimatedHarm(asked: Amounts, free: Tally, dearestFirst: readonly Candidate[]): readonly number[] | undefined {
  for (const { amounts } of dearestFirst) addTo(free, amounts);
  const isEnough = (): boolean =>
    Object.keys(asked).every((dimension) => (asked[dimension] ?? 0) <= (free[dimension] ?? 0));
  if (!isEnough()) return undefined;
  const victims = dearestFirst.filter(({ amounts }) => {
    addTo(free, amounts, -1);
    if (isEnough()) return false;
    addTo(free, amounts);
    return true;
  });
  return victims.length === 0 ? [0, 0, 0] : totalHarm(victims);
}
