import type { Cluster } from "../cluster.ts";
import { compileDemand } from "../compiled-demand.ts";
import { matchObstacle } from "../obstacle.ts";
import type { WaitingJob } from "./admission-types.ts";
import { addTo, claimedAmounts, freeOn } from "./amounts.ts";
import type { Hold } from "./hold.ts";
import type { Holds } from "./holds.ts";
import { endOf, type RunningJobs } from "./running-jobs.ts";
import type { Unit } from "./unit.ts";

/** Nodes on which a job was found to fit later, before the best of them is taken. */
const MAX_FOUND = 16;

/** Where room can be held. */
export interface HoldSite {
  readonly cluster: Cluster;
  readonly running: RunningJobs;
  readonly holds: Holds;
  readonly nowMs: number;
}

/**
 * Holds room for a job, or for every member of a gang: on the nodes where it was held before, if that is still possible,
 * else where it fits earliest. A gang has room on several nodes from the time when the last of its members fits. Undefined
 * when there is no such place, even when all that has a limit has ended; then nothing is held.
 */
export function holdRoom(site: HoldSite, unit: Unit, before: ReadonlyMap<string, Hold>): readonly Hold[] | undefined {
  const again = tryHold(site, unit, (job) => before.get(job.name)?.nodeId);
  return again ?? tryHold(site, unit, (job) => earliestNode(site, job));
}

function tryHold(
  { holds, nowMs }: HoldSite,
  { members }: Unit,
  nodeFor: (job: WaitingJob) => string | undefined,
): readonly Hold[] | undefined {
  const found: Hold[] = [];
  for (const { job } of members) {
    const nodeId = nodeFor(job);
    const hold = nodeId === undefined ? undefined : holds.put({ job, nodeId, kind: "backfill", nowMs });
    if (hold === undefined) {
      for (const other of found) holds.drop(other.job.name);
      return undefined;
    }
    found.push(hold);
  }
  const atMs = Math.max(...found.map((hold) => hold.atMs));
  for (const { job, nodeId } of found) {
    if (members.length > 1) holds.put({ job, nodeId, kind: "backfill", nowMs, notBeforeMs: atMs });
  }
  return members.map(({ job }) => holds.of(job.name)).filter((hold) => hold !== undefined);
}

/**
 * The node where a job fits earliest if everything runs up to its limit. Nodes are estimated by sums of amounts, which
 * is never too late, and looked at exactly from the most promising one on, until no other can be better.
 */
function earliestNode(site: HoldSite, job: WaitingJob): string | undefined {
  const { holds, nowMs } = site;
  let best: Hold | undefined;
  let found = 0;
  for (const { nodeId, atMs } of estimates(site, job)) {
    if (found === MAX_FOUND || (best !== undefined && best.atMs <= atMs)) break;
    const hold = holds.find({ job, nodeId, kind: "backfill", nowMs });
    if (hold === undefined) continue;
    found++;
    if (best === undefined || hold.atMs < best.atMs) best = hold;
  }
  return best?.nodeId;
}

interface Estimate {
  readonly nodeId: string;
  readonly atMs: number;
}

/** Nodes of the right kind, soonest first. */
function estimates({ cluster, running, holds, nowMs }: HoldSite, job: WaitingJob): Estimate[] {
  const compiled = compileDemand(job.demand);
  const asked = Object.entries(claimedAmounts(job.demand.resources));
  const found: Estimate[] = [];
  for (const entry of cluster.entries()) {
    if (matchObstacle(entry, compiled) !== undefined) continue;
    const free = freeOn(entry);
    for (const hold of holds.on(entry.id)) addTo(free, hold.kept.amounts);
    for (const hold of holds.on(entry.id))
      for (const part of hold.kept.devices) addTo(free, { gpu_milli: part.shareMilli });
    const isEnough = (): boolean => asked.every(([dimension, amount]) => amount <= (free[dimension] ?? 0));
    let atMs = nowMs;
    if (!isEnough()) {
      const ends = [...running.on(entry.id)].sort((a, b) => endOf(a.job, nowMs) - endOf(b.job, nowMs));
      const last = ends.find(({ amounts, job: other }) => {
        addTo(free, amounts);
        atMs = endOf(other, nowMs);
        return isEnough();
      });
      if (last === undefined) continue;
    }
    found.push({ nodeId: entry.id, atMs });
  }
  return found.sort((a, b) => a.atMs - b.atMs || (a.nodeId < b.nodeId ? -1 : 1));
}
