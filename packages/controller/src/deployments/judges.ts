import { type ArmTotals, type Comparisons, comparisonsOf, RolloutTrial, totalsOf } from "@kedge/analysis";
import type { Clock } from "@kedge/kernel";
import type { Deployment, Rollout, Verdict, Window } from "@kedge/proto";
import { hasActiveRollout, isJudged, judgementOf } from "@kedge/rollout";

interface Totals {
  canary: ArmTotals;
  baseline: ArmTotals;
}

interface Trial {
  readonly rolloutId: string;
  readonly judged: RolloutTrial;
  readonly totals: Totals;
  /** Of mirrored answers. */
  comparisons: Comparisons;
}

/** What windows have shown of a rollout so far. */
export interface Evidence {
  readonly rolloutId: string;
  readonly totals: Totals;
  readonly comparisons: Comparisons;
  readonly verdict?: Verdict;
  readonly judgeState: Uint8Array;
  /** What stopped coming although there is traffic, for people. */
  readonly metricsMissing?: string;
}

interface Newest {
  readonly bootId: string;
  readonly sequence: bigint;
}

/**
 * Feeds the windows of each rollout under way to its judge. State that matters is kept in the rollout document; the users
 * that a judge by users has counted are not, so after a restart of the controller each may count once more.
 */
export class RolloutJudges {
  readonly #clock: Clock;
  readonly #trials = new Map<string, Trial>();
  readonly #onWindow: (deployment: Deployment, window: Window) => void;
  /** Newest window by deployment and node: a window counts once. */
  readonly #newest = new Map<string, Map<string, Newest>>();

  /** `onWindow` is called with every window, once. */
  constructor(clock: Clock, onWindow: (deployment: Deployment, window: Window) => void = () => {}) {
    this.#clock = clock;
    this.#onWindow = onWindow;
  }

  /**
   * Takes a window of a deployment's gateway. Repeated ones and ones without both revisions' share change nothing.
   *
   * @returns whether the window belongs to a rollout under way.
   */
  observe(deployment: Deployment, window: Window): boolean {
    if (!this.#isNew(deployment.name, window)) return false;
    this.#onWindow(deployment, window);
    const rollout = deployment.rollout;
    if (rollout === undefined || !hasActiveRollout(deployment)) return false;
    const trial = this.#trial(deployment.name, rollout);
    trial.totals.canary = sum(trial.totals.canary, totalsOf(window, rollout.toRevision));
    trial.totals.baseline = sum(trial.totals.baseline, totalsOf(window, rollout.fromRevision));
    const { compared, differing } = comparisonsOf(window, rollout.toRevision);
    trial.comparisons = {
      compared: trial.comparisons.compared + compared,
      differing: trial.comparisons.differing + differing,
    };
    if (isJudged(rollout)) trial.judged.observe(window, this.#clock.now());
    return true;
  }

  /** Judges what came since the last call, and tells what is known of a rollout; undefined before its first window since this controller started. */
  evidence(deployment: string, rollout: Rollout): Evidence | undefined {
    const trial = this.#trials.get(deployment);
    if (trial?.rolloutId !== rollout.id) return undefined;
    const { rolloutId, totals, comparisons, judged } = trial;
    const verdict = judged.verdict(this.#clock.now());
    const { missing } = judged;
    return {
      ...{ rolloutId, totals, comparisons, judgeState: judged.state() },
      ...(verdict === undefined ? {} : { verdict }),
      ...(missing.length === 0 ? {} : { metricsMissing: `no ${missing.join(", ")} although there is traffic` }),
    };
  }

  /** Forgets everything, as a new term does: another controller may have written newer evidence since. */
  restart(): void {
    this.#trials.clear();
    this.#newest.clear();
  }

  /** Forgets a deployment's rollout, which has ended. */
  endTrial(deployment: string): void {
    this.#trials.delete(deployment);
  }

  /** Forgets a deployment. */
  forget(deployment: string): void {
    this.endTrial(deployment);
    this.#newest.delete(deployment);
  }

  #isNew(deployment: string, { nodeId, bootId, sequence }: Window): boolean {
    const nodes = this.#newest.get(deployment) ?? new Map<string, Newest>();
    const newest = nodes.get(nodeId);
    if (newest?.bootId === bootId && newest.sequence >= sequence) return false;
    this.#newest.set(deployment, nodes.set(nodeId, { bootId, sequence }));
    return true;
  }

  #trial(deployment: string, rollout: Rollout): Trial {
    const known = this.#trials.get(deployment);
    if (known?.rolloutId === rollout.id) return known;
    const none = { requests: 0n, errors: 0n };
    const { judgeState: state, verdict } = rollout;
    const trial: Trial = {
      rolloutId: rollout.id,
      judged: new RolloutTrial(judgementOf(rollout), { nowMs: this.#clock.now(), state, verdict }),
      totals: { canary: rollout.totalCanary ?? none, baseline: rollout.totalBaseline ?? none },
      comparisons: rollout.comparisons ?? { compared: 0n, differing: 0n },
    };
    this.#trials.set(deployment, trial);
    return trial;
  }
}

function sum(a: ArmTotals, b: ArmTotals): ArmTotals {
  return { requests: a.requests + b.requests, errors: a.errors + b.errors };
}
