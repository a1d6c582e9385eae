import type { ReplicaExposure, RouteJudgement, Window } from "@kedge/proto";
import type { JudgeWindow } from "../judge/judge-types.ts";
import { armsOf } from "./judge-windows.ts";
import { RESTARTS } from "./own-metrics.ts";

interface AtRisk {
  readonly canary: number;
  readonly baseline: number;
  readonly atMs: number;
}

const MAX_REPLICAS = 10_000;
/** A node that has said nothing for so long has no part: idle gateways speak every 10 s. */
const FORGET_MS = 30_000;
const QUIET_MS = 10_000;
const MAX_NODES = 10_000;

/**
 * Restarts of a fleet's replicas for the judge. Old and new replicas may be on different nodes, so their exposure is taken over
 * all of them, whatever the traffic. An event is the canary's with the share that its replicas have of those ready just before
 * (Cox's partial likelihood): that share is known before the event is, where exposure summed up until after it would be cut
 * short by the event itself.
 */
export class ExposureLedger {
  readonly #nodes = new Map<string, AtRisk>();
  #shownAtMs: number;

  constructor(nowMs: number) {
    this.#shownAtMs = nowMs;
  }

  /** Takes a window; gives what the judge is to see, if there was an event or 10 s are over. The sender is not trusted. */
  observe(
    window: Window,
    judgement: Pick<RouteJudgement, "fromRevision" | "toRevision">,
    nowMs: number,
  ): JudgeWindow | undefined {
    const arms = armsOf(window, judgement);
    const canary = arms.canary?.exposure;
    const baseline = arms.baseline?.exposure;
    if (canary === undefined && baseline === undefined) return undefined;
    this.#note(window.nodeId, { canary: replicasOf(canary), baseline: replicasOf(baseline), atMs: nowMs });
    const events = { canary: restartsOf(canary), baseline: restartsOf(baseline) };
    const seconds = Math.max(1, nowMs - this.#shownAtMs) / 1000;
    if (events.canary + events.baseline === 0 && seconds * 1000 < QUIET_MS) return undefined;
    const atRisk = this.#atRisk(nowMs);
    if (atRisk.canary === 0 || atRisk.baseline === 0) return undefined;
    this.#shownAtMs = nowMs;
    const arm = (of: "canary" | "baseline") => ({
      ...{ requests: 0, errors: 0 },
      metrics: { [RESTARTS]: { events: events[of], exposure: atRisk[of] * seconds } },
    });
    // Any weight between the ends will do: it is the exposures that count.
    return { seconds, weight: 0.5, baseline: arm("baseline"), canary: arm("canary") };
  }

  #note(nodeId: string, atRisk: AtRisk): void {
    this.#nodes.delete(nodeId);
    this.#nodes.set(nodeId, atRisk);
    if (this.#nodes.size > MAX_NODES) for (const oldest of this.#nodes.keys()) return void this.#nodes.delete(oldest);
  }

  #atRisk(nowMs: number): { canary: number; baseline: number } {
    const sums = { canary: 0, baseline: 0 };
    for (const [nodeId, { canary, baseline, atMs }] of this.#nodes) {
      if (nowMs - atMs > FORGET_MS) this.#nodes.delete(nodeId);
      else {
        sums.canary += canary;
        sums.baseline += baseline;
      }
    }
    return sums;
  }
}

function replicasOf(exposure: ReplicaExposure | undefined): number {
  return Math.min(exposure?.replicas ?? 0, MAX_REPLICAS);
}

/** Each replica that was ready when a window began can fail in it once. */
function restartsOf(exposure: ReplicaExposure | undefined): number {
  return Math.min(exposure?.restarts ?? 0, replicasOf(exposure));
}
