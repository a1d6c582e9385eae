import { createJudge, type Judge, verdictMessage } from "@kedge/analysis";
import type { Clock } from "@kedge/kernel";
import type { Deployment, RevisionWindow, Rollout, Verdict, Window } from "@kedge/proto";
import type { ArmTotals } from "@kedge/rollout";
import { hasActiveRollout } from "./apply.ts";

interface Totals {
  canary: ArmTotals;
  baseline: ArmTotals;
}

interface Trial {
  readonly rolloutId: string;
  readonly judge: Judge;
  readonly totals: Totals;
  /** Newest window by node: a window counts once. */
  readonly seen: Map<string, { readonly bootId: string; readonly sequence: bigint }>;
  verdict: Verdict | undefined;
}

/** What windows have shown of a rollout so far. */
export interface Evidence {
  readonly totals: Totals;
  readonly verdict?: Verdict;
  readonly judgeState: Uint8Array;
}

const MAX_REPORTED = 10_000_000;

/** Feeds the windows of each rollout under way to its judge. State that matters is kept in the rollout document. */
export class RolloutJudges {
  readonly #clock: Clock;
  readonly #trials = new Map<string, Trial>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Takes a window of a deployment's gateway. Repeated ones and ones without both revisions' share change nothing.
   *
   * @returns whether the window belongs to a rollout under way.
   */
  observe(deployment: Deployment, window: Window): boolean {
    const rollout = deployment.rollout;
    if (rollout === undefined || !hasActiveRollout(deployment)) return false;
    const trial = this.#trial(deployment.name, rollout);
    const newest = trial.seen.get(window.nodeId);
    if (newest?.bootId === window.bootId && newest.sequence >= window.sequence) return false;
    trial.seen.set(window.nodeId, { bootId: window.bootId, sequence: window.sequence });
    const canary = armOf(window, rollout.toRevision);
    const baseline = armOf(window, rollout.fromRevision);
    trial.totals.canary = addTotals(trial.totals.canary, canary);
    trial.totals.baseline = addTotals(trial.totals.baseline, baseline);
    const share = canary.basisPoints + baseline.basisPoints;
    if (rollout.unjudged || share === 0) return true;
    const verdict = trial.judge.observe({
      seconds: rollout.canary === undefined ? 2 : 0.25,
      weight: canary.basisPoints / share,
      baseline,
      canary,
    });
    trial.verdict = verdictMessage(verdict, this.#clock.now());
    return true;
  }

  /** What is known of a rollout; undefined before its first window since this controller started. */
  evidence(deployment: string, rollout: Rollout): Evidence | undefined {
    const trial = this.#trials.get(deployment);
    if (trial?.rolloutId !== rollout.id) return undefined;
    return {
      totals: trial.totals,
      judgeState: trial.judge.state(),
      ...(trial.verdict === undefined ? {} : { verdict: trial.verdict }),
    };
  }

  /** Forgets everything, as a new term does: another controller may have written newer evidence since. */
  restart(): void {
    this.#trials.clear();
  }

  /** Forgets a deployment's rollout. */
  forget(deployment: string): void {
    this.#trials.delete(deployment);
  }

  #trial(deployment: string, rollout: Rollout): Trial {
    const known = this.#trials.get(deployment);
    if (known?.rolloutId === rollout.id) return known;
    const none = { requests: 0n, errors: 0n };
    const trial: Trial = {
      rolloutId: rollout.id,
      judge: createJudge({ alpha: rollout.alpha, state: rollout.judgeState }),
      totals: { canary: rollout.totalCanary ?? none, baseline: rollout.totalBaseline ?? none },
      seen: new Map(),
      verdict: rollout.verdict,
    };
    this.#trials.set(deployment, trial);
    return trial;
  }
}

interface Arm {
  readonly requests: number;
  readonly errors: number;
  readonly basisPoints: number;
}

/** One revision's part of a window, with impossible numbers made harmless: the sender is not trusted. */
function armOf(window: Window, revision: number): Arm {
  const found: RevisionWindow | undefined = window.revisions.find((candidate) => candidate.revision === revision);
  const requests = Math.min(found?.requests ?? 0, MAX_REPORTED);
  return {
    requests,
    errors: Math.min(found?.errors ?? 0, requests),
    basisPoints: Math.min(found?.basisPoints ?? 0, 10_000),
  };
}

function addTotals(totals: ArmTotals, arm: Arm): ArmTotals {
  return { requests: totals.requests + BigInt(arm.requests), errors: totals.errors + BigInt(arm.errors) };
}
