import { IncidentKind, IncidentState, NodeState, RolloutState, RunState } from "@kedge/proto";
import { hasActiveRollout } from "@kedge/rollout";
import type { StillWaiting } from "@kedge/scheduler";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { DeliveryOutcome } from "./alerts/receiver-lane.ts";
import type { HookOutcome } from "./git/hook-routes.ts";
import type { StatusOutcome } from "./git/status-sender.ts";
import { isQuarantined } from "./node-health/quarantine.ts";
import type { NodeRegistry } from "./nodes/registry.ts";
import { createSchedulingMetrics, type SchedulingMetrics } from "./scheduling/scheduling-metrics.ts";
import type { Stores } from "./stores.ts";

/** What gauges are read from, at each scrape. */
export interface MetricSources {
  readonly stores: Stores;
  readonly registry: NodeRegistry;
  readonly queueDepths: () => Readonly<Record<string, number>>;
  /** Jobs that wait for room. */
  readonly queue: () => readonly StillWaiting[];
}

/** The controller's metrics. */
export interface ControllerMetrics extends SchedulingMetrics {
  readonly registry: Registry;
  /** Call once a finished gRPC call. */
  call(record: { service: string; method: string; code: number; ms: number }): void;
  window(): void;
  taskEvents(count: number): void;
  /** Call once a finished rollout, with the state it ended in. */
  rolloutEnd(state: RolloutState): void;
  /** Call once an attempt to tell a receiver of an incident, or when it is given up. */
  alert(receiver: string, outcome: DeliveryOutcome): void;
  /** Call once a request to a webhook's path. */
  hook(outcome: HookOutcome): void;
  /** Call once an attempt to tell a forge of a commit, or when it is given up. */
  commitStatus(repository: string, outcome: StatusOutcome): void;
}

/** States in which rollouts end; counted from zero, so that a first one shows as an increase. */
const OUTCOMES = [RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK] as const;

const INCIDENT_KINDS = [
  IncidentKind.ANOMALY,
  IncidentKind.BURN_RATE,
  IncidentKind.ROLLOUT,
  IncidentKind.NODE,
  IncidentKind.REPLICA,
] as const;

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
  const rollouts = new Counter({
    name: "kedge_rollouts_total",
    help: "Rollouts that ended, by outcome.",
    labelNames: ["outcome"],
    registers,
  });
  const alerts = new Counter({
    name: "kedge_alert_deliveries_total",
    help: "Attempts to tell receivers of incidents, by outcome, and notices given up.",
    labelNames: ["receiver", "outcome"],
    registers,
  });
  const hooks = new Counter({
    name: "kedge_webhooks_total",
    help: "Webhooks that came in, by outcome.",
    labelNames: ["outcome"],
    registers,
  });
  const statuses = new Counter({
    name: "kedge_commit_statuses_total",
    help: "Attempts to tell forges of commits, by outcome, and statuses given up.",
    labelNames: ["repository", "outcome"],
    registers,
  });
  const scheduling = createSchedulingMetrics(registry, sources.queue);
  for (const state of OUTCOMES) rollouts.inc({ outcome: labelOf(RolloutState[state]) }, 0);
  addGauges(registry, sources);
  return {
    registry,
    call: ({ service, method, code, ms }) => calls.observe({ service, method, code: String(code) }, ms / 1000),
    window: () => windows.inc(),
    taskEvents: (count) => events.inc(count),
    ...scheduling,
    hook: (outcome) => hooks.inc({ outcome }),
    commitStatus: (repository, outcome) => statuses.inc({ repository, outcome }),
    alert: (receiver, outcome) => alerts.inc({ receiver, outcome }),
    rolloutEnd: (state) => rollouts.inc({ outcome: labelOf(RolloutState[state]) }),
  };
}

function addGauges(registry: Registry, sources: MetricSources): void {
  addIncidents(registry, sources.stores);
  gauge(registry, {
    name: "kedge_nodes",
    help: "Nodes by state.",
    label: "state",
    read: () => countBy([...sources.stores.nodes.entries()], ([id]) => NodeState[sources.registry.state(id)]),
  });
  gauge(registry, {
    name: "kedge_nodes_quarantined",
    help: "Nodes set aside; those on probation are not counted.",
    read: () => ({ all: [...sources.stores.nodes.entries()].filter(([, { value }]) => isQuarantined(value)).length }),
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
    name: "kedge_judge_evidence",
    help: "Evidence (e-value) against the new revision of each rollout under way.",
    label: "deployment",
    read: () => judgeEvidence(sources.stores),
  });
}

function addIncidents(registry: Registry, { incidents }: Stores): void {
  new Gauge({
    name: "kedge_incidents",
    help: "Incidents kept, by state and kind.",
    labelNames: ["state", "kind"],
    registers: [registry],
    collect() {
      this.reset();
      // What is alerted on is there from the start.
      for (const kind of INCIDENT_KINDS) this.set({ state: "open", kind: labelOf(IncidentKind[kind]) }, 0);
      for (const [, { value }] of incidents.entries()) {
        this.inc({ state: labelOf(IncidentState[value.state]), kind: labelOf(IncidentKind[value.kind]) });
      }
    },
  });
}

/** Rollouts that no window has been judged of yet have none. */
function judgeEvidence(stores: Stores): Record<string, number> {
  const evidence: Record<string, number> = {};
  for (const [name, { value }] of stores.deployments.entries()) {
    const verdict = hasActiveRollout(value) ? value.rollout?.verdict : undefined;
    if (verdict !== undefined) evidence[name] = verdict.evidence;
  }
  return evidence;
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
    const key = labelOf(keyOf(item));
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

function labelOf(constant: string | undefined): string {
  return (constant ?? "UNKNOWN").toLowerCase();
}
