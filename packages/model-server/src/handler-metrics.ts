import { isMetricName, MAX_USER_METRICS, OWN_METRIC_NAMES } from "@kedge/domain";
import type { Logger } from "@kedge/kernel";
import { Counter, Histogram, type Registry } from "prom-client";
import type { PushedMetrics } from "./handler.ts";

/** Fixed, so that what replicas and revisions tell can be added: eight a decade below 0.02, each 0.02 up to 1, 16 a decade above. */
const BUCKETS: readonly number[] = [
  0,
  ...Array.from({ length: 19 }, (_, i) => rounded(1e-4 * 10 ** (i / 8))),
  ...Array.from({ length: 50 }, (_, i) => rounded((i + 1) / 50)),
  ...Array.from({ length: 80 }, (_, i) => rounded(10 ** ((i + 1) / 16))),
];

type Pushed =
  | { readonly kind: "observe"; readonly metric: Histogram }
  | { readonly kind: "count"; readonly metric: Counter };

/**
 * Metrics that a handler pushes, under its own names in the server's registry. At most 16; what cannot be taken is left out
 * and said once in the log, as a mistake in a metric must not fail the request.
 */
export class HandlerMetrics implements PushedMetrics {
  readonly #registry: Registry;
  readonly #logger: Logger;
  readonly #pushed = new Map<string, Pushed>();
  readonly #refused = new Set<string>();

  constructor(registry: Registry, logger: Logger) {
    this.#registry = registry;
    this.#logger = logger;
  }

  observe(name: string, value: number): void {
    const known = this.#metric(name, "observe");
    if (known?.kind !== "observe") return;
    if (typeof value === "number" && Number.isFinite(value)) known.metric.observe(value);
    else this.#refuse(name, "a value must be a finite number");
  }

  count(name: string, n = 1): void {
    const known = this.#metric(name, "count");
    if (known?.kind !== "count") return;
    if (typeof n === "number" && Number.isFinite(n) && n >= 0) known.metric.inc(n);
    else this.#refuse(name, "a count must be a finite number, not below 0");
  }

  #metric(name: string, kind: Pushed["kind"]): Pushed | undefined {
    const known = this.#pushed.get(name) ?? this.#make(name, kind);
    if (known !== undefined && known.kind !== kind) this.#refuse(name, "a name is for observe or for count, not both");
    return known;
  }

  #make(name: string, kind: Pushed["kind"]): Pushed | undefined {
    const problem = this.#problemOf(name);
    if (problem !== undefined) {
      this.#refuse(name, problem);
      return undefined;
    }
    const common = { name, help: "Pushed by the handler", registers: [this.#registry] };
    const made: Pushed =
      kind === "count"
        ? { kind, metric: new Counter(common) }
        : { kind, metric: new Histogram({ ...common, buckets: [...BUCKETS] }) };
    this.#pushed.set(name, made);
    return made;
  }

  #problemOf(name: string): string | undefined {
    if (!isMetricName(name)) return "a name must be one of the Prometheus text format";
    if (OWN_METRIC_NAMES.some((own) => own === name)) return "Kedge measures a metric of this name itself";
    if (this.#registry.getSingleMetric(name) !== undefined) return "the server has a metric of this name";
    return this.#pushed.size >= MAX_USER_METRICS ? `at most ${MAX_USER_METRICS} metrics are taken` : undefined;
  }

  #refuse(name: unknown, problem: string): void {
    const metric = String(name).slice(0, 128);
    if (this.#refused.size >= MAX_USER_METRICS || this.#refused.has(metric)) return;
    this.#refused.add(metric);
    this.#logger.warn({ metric, problem }, "a pushed metric is left out");
  }
}

/** Takes nothing: warm-up requests are no traffic. */
export const NO_METRICS: PushedMetrics = { observe: () => {}, count: () => {} };

function rounded(bound: number): number {
  return Number(bound.toPrecision(6));
}
