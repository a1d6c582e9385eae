import { NodeState, RunState } from "@kedge/proto";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { NodeRegistry } from "./nodes/registry.ts";
import type { Stores } from "./stores.ts";

/** What gauges are read from, at each scrape. */
export interface MetricSources {
  readonly stores: Stores;
  readonly registry: NodeRegistry;
  readonly queueDepths: () => Readonly<Record<string, number>>;
  readonly pendingRuns: () => number;
}

/** The controller's metrics. */
export interface ControllerMetrics {
  readonly registry: Registry;
  /** Call once a finished gRPC call. */
  call(record: { service: string; method: string; code: number; ms: number }): void;
  window(): void;
  taskEvents(count: number): void;
}

/** Metrics under `kedge_`, plus Node's own. */
export function createMetrics(sources: MetricSources): ControllerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const calls = new Histogram({
    name: "kedge_rpc_duration_seconds",
    help: "Duration of gRPC calls by method and status code.",
    labelNames: ["service", "method", "code"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers,
  });
  const windows = new Counter({ name: "kedge_windows_total", help: "Traffic windows taken.", registers });
  const events = new Counter({ name: "kedge_task_events_total", help: "Task events taken.", registers });
  gauge(registry, {
    name: "kedge_nodes",
    help: "Nodes by state.",
    label: "state",
    read: () => countBy([...sources.stores.nodes.entries()], ([id]) => NodeState[sources.registry.state(id)]),
  });
  gauge(registry, {
    name: "kedge_runs",
    help: "Runs kept, by state.",
    label: "state",
    read: () => countBy([...sources.stores.runs.entries()], ([, { value }]) => RunState[value.state]),
  });
  gauge(registry, {
    name: "kedge_reconcile_queue_depth",
    help: "Keys waiting to be reconciled.",
    label: "loop",
    read: sources.queueDepths,
  });
  gauge(registry, {
    name: "kedge_runs_waiting_for_room",
    help: "Runs with jobs that no node has room for.",
    read: () => ({ "": sources.pendingRuns() }),
  });
  return {
    registry,
    call: ({ service, method, code, ms }) => calls.observe({ service, method, code: String(code) }, ms / 1000),
    window: () => windows.inc(),
    taskEvents: (count) => events.inc(count),
  };
}

interface GaugeOptions {
  readonly name: string;
  readonly help: string;
  readonly label?: string;
  readonly read: () => Readonly<Record<string, number>>;
}

function gauge(registry: Registry, { name, help, label, read }: GaugeOptions): void {
  new Gauge({
    name,
    help,
    labelNames: label === undefined ? [] : [label],
    registers: [registry],
    collect() {
      this.reset();
      for (const [value, count] of Object.entries(read())) {
        this.set(label === undefined ? {} : { [label]: value }, count);
      }
    },
  });
}

function countBy<T>(items: readonly T[], keyOf: (item: T) => string | undefined): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) {
    const key = (keyOf(item) ?? "UNKNOWN").toLowerCase();
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
