import { isMetricName, KedgeError, MAX_USER_METRICS, OWN_METRIC_NAMES } from "@kedge/domain";
import { MetricKind, type MetricSpec, type Threshold, WorseWhen } from "@kedge/proto";
import { isUserMetric, RESTARTS } from "./own-metrics.ts";

/**
 * Refuses metrics that gateways do not see, restarts and users' own, which the judge could not carry out as they are written.
 *
 * @throws KedgeError INVALID_FIELD.
 */
export function assertOwnMetrics(metrics: readonly MetricSpec[]): void {
  const own = metrics.filter(isUserMetric);
  if (own.length > MAX_USER_METRICS) {
    throw invalid("metrics", `at most ${MAX_USER_METRICS} metrics of your own are judged, got ${own.length}`);
  }
  for (const metric of metrics) {
    if (metric.kind === MetricKind.UNSPECIFIED) throw invalid("metrics", `${metric.name || "a metric"} has no kind`);
    if (metric.kind === MetricKind.RESTARTS) assertRestarts(metric);
    else if (isUserMetric(metric)) assertUserMetric(metric);
  }
  const names = metrics.filter((metric) => isUserMetric(metric) || metric.kind === MetricKind.RESTARTS).map(nameOf);
  const again = names.find((name, i) => names.indexOf(name) < i);
  if (again !== undefined) throw invalid("metrics", `${again} is there twice`);
}

/**
 * Refuses a limit on such a metric that is not of the analysis, or that its kind has no figure for.
 *
 * @throws KedgeError INVALID_FIELD.
 */
export function assertOwnThreshold({ metric, quantile }: Threshold, metrics: readonly MetricSpec[]): void {
  const spec = metrics.find((each) => nameOf(each) === metric);
  if (spec === undefined || !(isUserMetric(spec) || spec.kind === MetricKind.RESTARTS)) {
    const what = metric === "" ? "a threshold without a metric" : `${metric} is not one of the analysis's metrics`;
    throw invalid(
      "thresholds",
      `${what}; limits are on errors, latency, restarts, or your own metrics that are listed`,
    );
  }
  const isQuantile = quantile > 0 && quantile < 1;
  if (spec.kind === MetricKind.SAMPLES && !isQuantile) {
    throw invalid("thresholds", `${metric} needs a quantile between 0 and 1, as it is of kind samples`);
  }
  if (spec.kind !== MetricKind.SAMPLES && quantile !== 0) {
    throw invalid("thresholds", `${metric} has no quantiles; a metric of kind samples has`);
  }
}

function assertRestarts(metric: MetricSpec): void {
  if (metric.name !== "" && metric.name !== RESTARTS)
    throw invalid("metrics", `${metric.name}: restarts have no other name`);
  assertWorse(metric, [WorseWhen.HIGHER]);
  assertNumbers(metric);
}

function assertUserMetric(metric: MetricSpec): void {
  const { name, kind, lower, upper } = metric;
  if (!isMetricName(name)) {
    throw invalid(
      "metrics",
      `${JSON.stringify(name.slice(0, 80))} is no metric name: letters, digits, _ and :, no digit first`,
    );
  }
  if (OWN_METRIC_NAMES.some((own) => own === name)) throw invalid("metrics", `${name} is measured by Kedge itself`);
  assertNumbers(metric);
  if (kind === MetricKind.MEAN) {
    assertWorse(metric, [WorseWhen.HIGHER, WorseWhen.LOWER]);
    const isRange = Number.isFinite(lower) && Number.isFinite(upper) && lower < upper;
    if (!isRange) throw invalid("metrics", `${name}: a mean needs bounds of its values, lower below upper`);
    if (metric.passMargin >= 1)
      throw invalid("metrics", `${name}: expected a pass margin below 1, a part of the range`);
  } else if (kind === MetricKind.COUNT) {
    assertWorse(metric, [WorseWhen.HIGHER], "count what is bad, or use kind mean");
  }
  if (kind !== MetricKind.MEAN && (lower !== 0 || upper !== 0))
    throw invalid("metrics", `${name}: bounds are for kind mean`);
}

function assertWorse({ name, worseWhen }: MetricSpec, possible: readonly WorseWhen[], advice?: string): void {
  if (worseWhen === WorseWhen.UNSPECIFIED || possible.includes(worseWhen)) return;
  const words = possible.map((each) => WorseWhen[each].toLowerCase()).join(" or ");
  throw invalid(
    "metrics",
    `${name || RESTARTS} can only be worse when ${words}${advice === undefined ? "" : `; ${advice}`}`,
  );
}

function assertNumbers({ name, budget, passMargin, tolerance, toleranceFloor }: MetricSpec): void {
  for (const [what, value] of Object.entries({ "a budget": budget, "a pass margin": passMargin })) {
    if (!(value >= 0 && Number.isFinite(value))) throw invalid("metrics", `${name}: expected ${what} of 0 or more`);
  }
  if (tolerance !== undefined || toleranceFloor !== undefined) {
    throw invalid("metrics", `${name} has no tolerance; latency has`);
  }
}

function nameOf({ name, kind }: MetricSpec): string {
  return kind === MetricKind.RESTARTS ? RESTARTS : name;
}

function invalid(field: string, problem: string): KedgeError {
  return new KedgeError("INVALID_FIELD", `analysis.${field}: ${problem}`, { field: `analysis.${field}` });
}
