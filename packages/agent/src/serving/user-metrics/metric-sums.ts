import { create } from "@bufbuild/protobuf";
import { MetricProblem, type UserMetric, UserMetricSchema } from "@kedge/proto";
import type { MetricGrowth } from "./metric-growth.ts";

type Growing = Exclude<MetricGrowth, { readonly case: "problem" }>;

const MAX_VALUES = 256;
const MAX_SUM = 1_000_000_000;

/** What scrapes brought of one metric of one revision since it was last taken. */
export class MetricSums {
  readonly #name: string;
  #grown: Growing | undefined;
  #requests = 0;
  #problem = MetricProblem.UNSPECIFIED;

  constructor(name: string) {
    this.#name = name;
  }

  /**
   * Takes one scrape of the revision's replicas.
   *
   * @param growths what each replica brought; a problem counts only when no replica brought anything.
   * @param requests of this time, for counters.
   */
  add(growths: readonly MetricGrowth[], requests: number): void {
    const problem = growths.find((growth) => growth.case === "problem");
    const grown = growths.filter((growth) => growth.case !== "problem");
    if (grown.length === 0) {
      this.#problem = problem?.value ?? this.#problem;
      return;
    }
    this.#problem = MetricProblem.UNSPECIFIED;
    for (const growth of grown)
      this.#grown = this.#grown === undefined ? growth : (sumOf(this.#grown, growth) ?? this.#grown);
    this.#requests = Math.min(MAX_SUM, this.#requests + requests);
  }

  /** The sums so far, which begin anew. */
  take(): UserMetric {
    const grown = this.#grown;
    const requests = this.#requests;
    this.#grown = undefined;
    this.#requests = 0;
    const common = { name: this.#name, problem: this.#problem };
    if (grown?.case !== "events") return create(UserMetricSchema, { ...common, ...(grown && { value: grown }) });
    return create(UserMetricSchema, { ...common, value: { case: "count", value: { ...grown.value, requests } } });
  }
}

/** Both together; undefined when they cannot be added. */
function sumOf(a: Growing, b: Growing): Growing | undefined {
  if (a.case === "events" && b.case === "events") {
    return { case: "events", value: { events: Math.min(MAX_SUM, a.value.events + b.value.events) } };
  }
  if (a.case === "moments" && b.case === "moments") {
    const sumSquares = a.value.sumSquares + b.value.sumSquares;
    const count = a.value.count + b.value.count;
    return count > MAX_SUM
      ? undefined
      : { case: "moments", value: { count, sum: a.value.sum + b.value.sum, sumSquares } };
  }
  if (a.case !== "samples" || b.case !== "samples") return undefined;
  const values = [...a.value.values, ...b.value.values].slice(0, MAX_VALUES);
  const [x, y] = [a.value, b.value];
  if (x.bounds.length === 0 || y.bounds.length === 0) {
    const { bounds, counts } = x.bounds.length === 0 ? y : x;
    return { case: "samples", value: { bounds, counts, values } };
  }
  const isAlike = x.bounds.length === y.bounds.length && x.bounds.every((bound, i) => bound === y.bounds[i]);
  if (!isAlike) return undefined;
  const counts = x.counts.map((count, i) => Math.min(MAX_SUM, count + (y.counts[i] ?? 0)));
  return { case: "samples", value: { bounds: x.bounds, counts, values } };
}
