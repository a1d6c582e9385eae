import { type Assignment, type Heartbeat, IncidentKind, IncidentSeverity, ReplicaState } from "@kedge/proto";
import type { Finding } from "./finding.ts";

/** So many restarts of a revision's replicas within the time are a loop. */
const LOOP_RESTARTS = 3;
/** Restarts that are remembered and counted. */
const LOOP_MS = 10 * 60_000;
const MAX_REMEMBERED = 32;
const MAX_MESSAGE = 300;

interface Failures {
  atMs: number[];
  nodeId: string;
  replicaId: string;
  message: string;
  /** The last was killed for its memory. */
  outOfMemory: boolean;
}

/** What a heartbeat adds. */
export interface ReplicaNews {
  readonly restarts: number;
  readonly findings: readonly Finding[];
}

/**
 * Watches replicas by what nodes say of those they were given. A revision's replicas that fail share one incident: a
 * revision that cannot run fails everywhere.
 */
export class ReplicaWatch {
  readonly #failures = new Map<string, Failures>();

  /** Takes in a heartbeat beside the one before it. Replicas that the node was not given do not count. */
  beat(heartbeat: Heartbeat, previous: Heartbeat | undefined, context: ReplicaContext): ReplicaNews {
    const { assignment, nowMs } = context;
    const given = new Map(assignment?.replicas.map((replica) => [replica.replicaId, replica]));
    const before = new Map(previous?.replicas.map((replica) => [replica.replicaId, replica]));
    const findings = new Map<string, Finding>();
    let restarts = 0;
    for (const status of heartbeat.replicas) {
      const { replicaId, restarts: count, state } = status;
      const replica = given.get(replicaId);
      const known = before.get(replicaId);
      if (replica === undefined) continue;
      const added = Math.max(0, Math.min(MAX_REMEMBERED, count - (known?.restarts ?? count)));
      const failed = state === ReplicaState.FAILED && known?.state !== ReplicaState.FAILED;
      const killed = Math.max(0, status.memoryKills - (known?.memoryKills ?? status.memoryKills));
      restarts += added;
      if (added === 0 && !failed && killed === 0) continue;
      const { deployment, revision } = replica;
      const message = status.message.slice(0, MAX_MESSAGE);
      const seen = { nodeId: heartbeat.nodeId, replicaId, message, outOfMemory: killed > 0 };
      const failures = this.#note(`${deployment}/${revision}`, seen, { count: Math.max(1, added), nowMs });
      const isLoop = failed || failures.atMs.length >= LOOP_RESTARTS || killed > 0;
      if (isLoop) findings.set(`${deployment}/${revision}`, findingOf(deployment, revision, failures));
    }
    return { restarts, findings: [...findings.values()] };
  }

  /** Whether replicas of a revision restarted of late. */
  isFailing(deployment: string, revision: number, nowMs: number): boolean {
    const last = this.#failures.get(`${deployment}/${revision}`)?.atMs.at(-1);
    return last !== undefined && nowMs - last < LOOP_MS;
  }

  /** Drops what is too old to count. */
  forgetOld(nowMs: number): void {
    for (const [key, { atMs }] of this.#failures) {
      if (nowMs - (atMs.at(-1) ?? 0) >= LOOP_MS) this.#failures.delete(key);
    }
  }

  #note(key: string, seen: Omit<Failures, "atMs">, { count, nowMs }: { count: number; nowMs: number }): Failures {
    const recent = this.#failures.get(key)?.atMs.filter((atMs) => nowMs - atMs < LOOP_MS) ?? [];
    const atMs = [...recent, ...Array.from({ length: count }, () => nowMs)].slice(-MAX_REMEMBERED);
    const message = seen.message || (this.#failures.get(key)?.message ?? "");
    const failures = { ...seen, message, atMs };
    this.#failures.set(key, failures);
    return failures;
  }
}

/** What a heartbeat is looked at with. */
export interface ReplicaContext {
  readonly assignment: Assignment | undefined;
  readonly nowMs: number;
}

function findingOf(deployment: string, revision: number, failures: Failures): Finding {
  const { atMs, nodeId, replicaId, message, outOfMemory } = failures;
  const many = atMs.length === 1 ? "once" : `${atMs.length} times`;
  const minutes = LOOP_MS / 60_000;
  return {
    key: `replica/${deployment}/${revision}`,
    kind: IncidentKind.REPLICA,
    severity: IncidentSeverity.WARNING,
    subject: { deployment, revision, nodeId, replicaId },
    summary: outOfMemory
      ? `replicas of ${deployment} revision ${revision} are killed for their memory`
      : `replicas of ${deployment} revision ${revision} fail again and again`,
    reason: `failed ${many} within ${minutes} min, last ${replicaId} on ${nodeId}: ${message || "no message"}`,
    beganAtMs: atMs[0] ?? 0,
  };
}
