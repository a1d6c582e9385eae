import { MetricProblem, type MetricSpec, type RevisionWindow, type RouteJudgement, type Window } from "@kedge/proto";
import { armsOf } from "./judge-windows.ts";
import { toldValue } from "./own-metrics.ts";

const WORDS: Readonly<Record<MetricProblem, string>> = {
  [MetricProblem.UNSPECIFIED]: "",
  [MetricProblem.UNREADABLE]: "a replica of revision % does not answer at its metrics path",
  [MetricProblem.ABSENT]: "no replica of revision % tells it",
  [MetricProblem.WRONG_TYPE]: "revision % tells it as another type than its kind needs",
  [MetricProblem.IMPOSSIBLE]: "revision % tells figures that cannot be",
};

/** Remembers why users' metrics have no value, for people. */
export class MetricProblems {
  readonly #specs: readonly MetricSpec[];
  readonly #found = new Map<string, { readonly revision: number; readonly problem: MetricProblem }>();

  constructor(specs: readonly MetricSpec[]) {
    this.#specs = specs;
  }

  /** Takes a window. The sender is not trusted: only words of ours come out. */
  observe(window: Window, judgement: Pick<RouteJudgement, "fromRevision" | "toRevision">): void {
    const arms = armsOf(window, judgement);
    for (const part of [arms.baseline, arms.canary]) {
      if (part === undefined) continue;
      for (const spec of this.#specs) this.#note(spec, part);
    }
  }

  #note(spec: MetricSpec, { revision, metrics }: RevisionWindow): void {
    const told = metrics.find(({ name }) => name === spec.name);
    if (told === undefined) return;
    const hasValue = told.value.case !== undefined;
    const problem = hasValue && toldValue(spec, told) === undefined ? MetricProblem.IMPOSSIBLE : told.problem;
    if (problem !== MetricProblem.UNSPECIFIED && problem in WORDS) this.#found.set(spec.name, { revision, problem });
    else if (hasValue && this.#found.get(spec.name)?.revision === revision) this.#found.delete(spec.name);
  }

  /** A metric's name, with why it is missing where that is known. */
  explain(name: string): string {
    const found = this.#found.get(name);
    return found === undefined ? name : `${name} (${WORDS[found.problem].replace("%", String(found.revision))})`;
  }
}
