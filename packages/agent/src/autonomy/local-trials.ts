import type { RolloutTrial } from "@kedge/analysis";
import type { Clock, Logger } from "@kedge/kernel";
import type { RouteJudgement, Verdict, Window } from "@kedge/proto";

/** A rollout before this node's judge. */
export interface LocalTrial {
  readonly judgement: RouteJudgement;
  readonly trial: RolloutTrial;
  /** Requests that the new revision answered here while the node was cut off this time. */
  requestsAlone: number;
}

/**
 * This node's judges, one a deployment at most. They take the node's own windows all the time, so that what was seen before a
 * cut counts as well, and are asked only while the node is cut off. The analysis is loaded when there is something to judge.
 */
export class LocalTrials {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #trials = new Map<string, LocalTrial>();
  #analysis: typeof import("@kedge/analysis") | undefined;
  #loading = false;

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Takes a window; begins the trial of a rollout that is new. Gives the trial, undefined while there is none yet. */
  observe(window: Window, judgement: RouteJudgement): LocalTrial | undefined {
    const local = this.#trial(window.deployment, judgement);
    local?.trial.observe(window, this.#clock.now());
    return local;
  }

  /** What a trial has come to. */
  verdict({ trial }: LocalTrial): Verdict | undefined {
    return trial.verdict(this.#clock.now());
  }

  entries(): readonly (readonly [string, LocalTrial])[] {
    return [...this.#trials];
  }

  /** Forgets a deployment's rollout. */
  end(deployment: string): void {
    this.#trials.delete(deployment);
  }

  #trial(deployment: string, judgement: RouteJudgement): LocalTrial | undefined {
    const known = this.#trials.get(deployment);
    if (known?.judgement.rolloutId === judgement.rolloutId) return known;
    if (this.#analysis === undefined) {
      this.#load();
      return undefined;
    }
    const trial = new this.#analysis.RolloutTrial(judgement, { nowMs: this.#clock.now() });
    const begun = { judgement, trial, requestsAlone: 0 };
    this.#trials.set(deployment, begun);
    return begun;
  }

  #load(): void {
    if (this.#loading) return;
    this.#loading = true;
    import("@kedge/analysis").then(
      (analysis) => {
        this.#analysis = analysis;
      },
      (error: unknown) => this.#logger.error({ err: error }, "this node cannot judge alone"),
    );
  }
}
