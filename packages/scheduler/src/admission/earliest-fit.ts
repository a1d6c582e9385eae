import type { Cluster } from "../cluster.ts";
import { fits } from "../place.ts";
import type { WaitingJob } from "./admission-types.ts";
import type { Hold, HoldKind } from "./hold.ts";
import { holdKey } from "./hold.ts";
import { keptRoom, roomOn } from "./kept-room.ts";
import { endOf, type Running } from "./running-jobs.ts";
import { claimOptions, SetAside } from "./set-aside.ts";

/** What is to be found out about one node. */
export interface HoldQuestion {
  readonly job: WaitingJob;
  readonly nodeId: string;
  readonly kind: HoldKind;
  /** What runs there. */
  readonly running: readonly Running[];
  /** Holds for others on the node, oldest first; their kept room is not in the cluster at the moment. */
  readonly earlier: readonly Hold[];
  readonly nowMs: number;
  /** Not before then; others of its gang are later. */
  readonly notBeforeMs: number;
}

interface Ending {
  readonly key: string;
  readonly atMs: number;
  /** It was told to end for this very job. */
  readonly isVictim: boolean;
  remove(): void;
}

/**
 * When a job fits a node at the latest, if every job there runs up to its limit and those that are held room for come
 * first, and what must be kept free until then. Undefined when it does not fit even after all that. Leaves the cluster as
 * it was. Cost: twice what runs on the node.
 */
export function earliestFit(cluster: Cluster, question: HoldQuestion): Hold | undefined {
  const { job, nodeId, kind, earlier, nowMs, notBeforeMs } = question;
  const entry = cluster.entry(nodeId);
  if (entry === undefined) return undefined;
  const before = roomOn(entry);
  const aside = new SetAside(cluster);
  for (const hold of earlier) claimFully(cluster, hold);
  try {
    let atMs = nowMs;
    const endings = endingsOn(cluster, question, aside);
    for (let i = 0; i <= endings.length; i++) {
      const next = endings[i];
      const result = next !== undefined && next.atMs <= notBeforeMs ? undefined : fits(cluster, nodeId, job.demand);
      if (result?.kind === "fits") {
        const { gpuIndices } = result;
        const kept = keptRoom(job.demand.resources, { before, after: roomOn(entry), earlier, gpuIndices });
        return { key: holdKey(job.name), job, nodeId, kind, atMs: Math.max(atMs, notBeforeMs), gpuIndices, kept };
      }
      next?.remove();
      atMs = Math.max(atMs, next?.atMs ?? atMs);
    }
    return undefined;
  } finally {
    for (const hold of earlier) cluster.release(hold.key);
    aside.putAllBack();
  }
}

function claimFully(cluster: Cluster, { key, nodeId, job, gpuIndices }: Hold): void {
  cluster.reserve(nodeId, key, job.demand.resources, claimOptions(job.demand, gpuIndices));
}

/** What ends on the node, soonest first; not the rest of its gang, which runs at the same time. */
function endingsOn(cluster: Cluster, question: HoldQuestion, aside: SetAside): Ending[] {
  const { nodeId, running, earlier, nowMs } = question;
  const gang = question.job.gang?.id;
  const endings: Ending[] = [];
  for (const { job } of running) {
    if (cluster.reservation(job.key)?.nodeId !== nodeId) continue;
    const isVictim = job.preemptedBy === question.job.name;
    endings.push({ key: job.key, atMs: endOf(job, nowMs), isVictim, remove: () => aside.take(job.key, job.demand) });
  }
  for (const { key, job, atMs } of earlier) {
    if (gang !== undefined && job.gang?.id === gang) continue;
    endings.push({ key, atMs: atMs + job.limitMs, isVictim: false, remove: () => cluster.release(key) });
  }
  return endings.sort((a, b) => a.atMs - b.atMs || Number(b.isVictim) - Number(a.isVictim) || (a.key < b.key ? -1 : 1));
}
