import { burnAlerts, type RequestWindow, STANDARD_BURN_RULES } from "@kedge/analysis";
import type { Deployment } from "@kedge/proto";

/** An hour's worth of steps, the longest that the fast rule looks back. */
const MAX_STEPS = 360;
const FAST_RULES = STANDARD_BURN_RULES.slice(0, 1);
/** Fewer errors than this are no incident, however little the traffic. */
const MIN_ERRORS = 20;
/** Share of the requests that may fail, unless more did before. */
const ERROR_BUDGET = 0.001;
const MAX_BUDGET = 0.5;

/** Fast burn of the error budget of the revision in force, since it is in force. */
export class BurnWatch {
  #steps: RequestWindow[] = [];
  /** Why it burns, and since when; undefined while it does not. */
  #burning: { readonly reason: string; readonly sinceMs: number } | undefined;

  get burning(): { readonly reason: string; readonly sinceMs: number } | undefined {
    return this.#burning;
  }

  /** Begins anew, with another revision. */
  restart(): void {
    this.#steps = [];
    this.#burning = undefined;
  }

  /** Remembers a step that is over. */
  push(step: RequestWindow): void {
    this.#steps.push(step);
    if (this.#steps.length > MAX_STEPS) this.#steps.shift();
  }

  /** Looks, the step under way included. */
  look(deployment: Deployment, current: RequestWindow): void {
    const [alert] = burnAlerts({
      objective: 1 - budgetOf(deployment),
      windows: [...this.#steps, current],
      nowEpochSeconds: current.endEpochSeconds,
      rules: FAST_RULES,
      minErrors: MIN_ERRORS,
    });
    const sinceMs = this.#burning?.sinceMs ?? current.endEpochSeconds * 1000;
    this.#burning = alert && { reason: alert.reason, sinceMs };
  }
}

/** 0.1 %, or what failed on the revision before, if that is more. */
function budgetOf({ rollout, stableRevision }: Deployment): number {
  const isOwn = rollout?.toRevision === stableRevision && !rollout.returning;
  const { requests = 0n, errors = 0n } = (isOwn ? rollout.totalBaseline : undefined) ?? {};
  const before = Number(errors) / Math.max(1, Number(requests));
  return Math.min(MAX_BUDGET, Math.max(ERROR_BUDGET, before));
}
