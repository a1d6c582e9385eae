import type { GatewayStats } from "@kedge/gateway";
import type { ReplicaStatus } from "@kedge/proto";
import type { Registry } from "prom-client";
import { countStates } from "./serving/replica-set.ts";
import type { TaskOutcome } from "./tasks/task-runner.ts";

/** What the agent counts itself. */
export class AgentCounters {
  readonly tasks = new Map<TaskOutcome, number>();
  heartbeats = 0;

  taskEnded(outcome: TaskOutcome): void {
    this.tasks.set(outcome, (this.tasks.get(outcome) ?? 0) + 1);
  }
}

/** Where metrics are read from when somebody asks for them. */
export interface MetricSources {
  readonly counters: AgentCounters;
  readonly runningTasks: () => number;
  readonly replicas: () => readonly ReplicaStatus[];
  readonly leaseAgeMs: () => number;
  readonly isConnected: () => boolean;
  readonly isCutOff: () => boolean;
  readonly droppedWindows: () => number;
  readonly gateway: () => GatewayStats | undefined;
}

type Gauge = { set(labels: Record<string, string>, value: number): void };

/** A registry whose values are read at the moment of each scrape; nothing is kept up to date in between. */
export async function createMetrics(sources: MetricSources): Promise<Registry> {
  // Loaded on demand: only agents whose metrics are scraped pay for it.
  const { Gauge, Registry, collectDefaultMetrics } = await import("prom-client");
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "kedge_agent_" });
  const define = (name: string, help: string, labelNames: string[], read: (gauge: Gauge) => void): void => {
    const gauge = new Gauge({
      name: `kedge_agent_${name}`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        read(this);
      },
    });
    registry.registerMetric(gauge);
  };
  const single = (name: string, help: string, read: () => number): void =>
    define(name, help, [], (gauge) => gauge.set({}, read()));
  single("tasks_running", "Tasks that run on this node now.", sources.runningTasks);
  single("heartbeats_total", "Heartbeats sent.", () => sources.counters.heartbeats);
  single("lease_age_seconds", "Time since the last renewed lease was sent.", () => sources.leaseAgeMs() / 1000);
  single("bus_connected", "1 when connected to NATS.", () => (sources.isConnected() ? 1 : 0));
  single("cut_off", "1 while the controller is not heard and the node judges alone.", () =>
    sources.isCutOff() ? 1 : 0,
  );
  single("windows_dropped_total", "Windows dropped while disconnected.", sources.droppedWindows);
  define("tasks_total", "Tasks that left this node, by outcome.", ["outcome"], (gauge) => {
    for (const [outcome, count] of sources.counters.tasks) gauge.set({ outcome }, count);
  });
  define("replicas", "Replicas on this node, by state.", ["state"], (gauge) => {
    for (const [state, count] of countStates(sources.replicas())) gauge.set({ state }, count);
  });
  defineTraffic(define, sources);
  return registry;
}

function defineTraffic(
  define: (name: string, help: string, labelNames: string[], read: (gauge: Gauge) => void) => void,
  sources: MetricSources,
): void {
  const labelNames = ["deployment", "revision"];
  const each = (gauge: Gauge, read: (stats: { requests: number; errors: number }) => number): void => {
    for (const { deployment, revisions } of sources.gateway()?.deployments ?? []) {
      for (const stats of revisions) gauge.set({ deployment, revision: String(stats.revision) }, read(stats));
    }
  };
  define("gateway_requests_total", "Requests the gateway passed on.", labelNames, (gauge) =>
    each(gauge, ({ requests }) => requests),
  );
  define("gateway_errors_total", "Requests answered 5xx or not at all.", labelNames, (gauge) =>
    each(gauge, ({ errors }) => errors),
  );
}
