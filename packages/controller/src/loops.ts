import type { Component } from "@kedge/kernel";
import type { Polled } from "./git/poller.ts";
import { LeaderTerm, type LoopsOptions } from "./leader-term.ts";

/**
 * Everything a controller does by itself, while it holds the lease: every election begins a new term. Starting and
 * stopping wait for each other, so that two terms never overlap.
 */
export class ControllerLoops implements Component {
  readonly name = "loops";
  readonly #options: LoopsOptions;
  #term: LeaderTerm | undefined;
  #changing: Promise<void> = Promise.resolve();

  constructor(options: LoopsOptions) {
    this.#options = options;
  }

  /** Begins a term. May be called again after `stop`. */
  start(): Promise<void> {
    const term = new LeaderTerm(this.#options);
    const before = this.#term;
    this.#term = term;
    this.#changing = this.#changing.then(async () => {
      await before?.stop();
      await term.start();
    });
    return this.#changing;
  }

  /** Ends the term after the reconciliations under way. May be called twice. */
  stop(): Promise<void> {
    const term = this.#term;
    this.#term = undefined;
    // At once, even if the term is still starting: what it waits for may never come.
    const stopped = term?.stop();
    this.#changing = this.#changing.then(
      () => stopped,
      () => stopped,
    );
    return this.#changing;
  }

  /** Queues a run to be looked at. */
  touchRun(runId: string): void {
    this.#term?.touchRun(runId);
  }

  /** Looks for new heads of a repository's branches now; undefined: there is no such repository, or no term. */
  pollRepository(name: string): Promise<Polled> | undefined {
    return this.#term?.pollRepository(name);
  }

  /** Keys waiting, by loop. */
  queueDepths(): Readonly<Record<string, number>> {
    return this.#term?.queueDepths() ?? {};
  }
}
