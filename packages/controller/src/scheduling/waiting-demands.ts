import type { JobSpec } from "@kedge/proto";

interface Waiters {
  readonly spec: JobSpec;
  /** Run ids by job name ("<run>/<job>"). */
  readonly runs: Map<string, string>;
  impossible: boolean;
}

/** What waiting jobs ask for, once for all that ask the same, to tell those for which the possible changes. */
export class WaitingDemands {
  readonly #byText = new Map<string, Waiters>();
  /** Demands that have to be looked at again. */
  readonly #unsure = new Set<string>();

  add(text: string, spec: JobSpec, job: { readonly name: string; readonly runId: string }): void {
    const known = this.#byText.get(text) ?? { spec, runs: new Map<string, string>(), impossible: false };
    known.runs.set(job.name, job.runId);
    this.#byText.set(text, known);
  }

  remove(text: string, name: string): void {
    const known = this.#byText.get(text);
    known?.runs.delete(name);
    if (known?.runs.size !== 0) return;
    this.#byText.delete(text);
    this.#unsure.delete(text);
  }

  /** Nodes have changed: every demand has to be looked at again. */
  doubt(): void {
    for (const text of this.#byText.keys()) this.#unsure.add(text);
  }

  /** Looks at up to `most` doubtful demands; gives the runs of those that became possible or impossible. */
  settle(isImpossible: (spec: JobSpec) => boolean, most: number): Set<string> {
    const changed = new Set<string>();
    for (const text of [...this.#unsure].slice(0, most)) {
      this.#unsure.delete(text);
      const known = this.#byText.get(text);
      if (known === undefined || known.impossible === isImpossible(known.spec)) continue;
      known.impossible = !known.impossible;
      for (const runId of known.runs.values()) changed.add(runId);
    }
    return changed;
  }

  get hasDoubts(): boolean {
    return this.#unsure.size > 0;
  }

  clear(): void {
    this.#byText.clear();
    this.#unsure.clear();
  }
}
