import type { StillWaiting } from "@kedge/scheduler";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { PassReport } from "./scheduling.ts";

/** What is counted of scheduling. */
export interface SchedulingMetrics {
  /** Call once a pass. */
  pass(report: PassReport): void;
  /** Call when placements are stored. */
  placed(count: number): void;
  /** Call once a task that was told to make room. */
  preempted(): void;
}

/** Teams with a label of their own, the ones with most jobs waiting; the others share one. */
const MAX_TEAMS = 20;

/** Counters, the duration of passes, and the queue at each scrape. */
export function createSchedulingMetrics(registry: Registry, queue: () => readonly StillWaiting[]): SchedulingMetrics {
  const registers = [registry];
  const passes = new Histogram({
    name: "kedge_scheduling_pass_seconds",
    help: "Duration of scheduling passes.",
    buckets: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    registers,
  });
  const placements = new Counter({ name: "kedge_placements_total", help: "Placements of jobs stored.", registers });
  const preemptions = new Counter({ name: "kedge_preemptions_total", help: "Tasks told to make room.", registers });
  const holds = new Counter({ name: "kedge_holds_total", help: "Jobs that room was held for.", registers });
  addQueueGauges(registry, queue);
  return {
    pass: ({ ms, held }) => {
      passes.observe(ms / 1000);
      holds.inc(held.length);
    },
    placed: (count) => placements.inc(count),
    preempted: () => preemptions.inc(),
  };
}

function addQueueGauges(registry: Registry, queue: () => readonly StillWaiting[]): void {
  new Gauge({
    name: "kedge_jobs_waiting",
    help: "Jobs that wait for room, by team and by priority: low below 0, normal 0, high above.",
    labelNames: ["team", "priority"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { team, priority, count } of countQueue(queue())) this.set({ team, priority }, count);
    },
  });
  new Gauge({
    name: "kedge_jobs_with_room_held",
    help: "Waiting jobs that room is held for.",
    registers: [registry],
    collect() {
      this.set(queue().filter(({ reserved }) => reserved !== undefined).length);
    },
  });
}

function countQueue(queue: readonly StillWaiting[]): { team: string; priority: string; count: number }[] {
  const byTeam = [...Map.groupBy(queue, ({ job }) => job.team)].sort(([, a], [, b]) => b.length - a.length);
  const shown = new Set(byTeam.slice(0, MAX_TEAMS).map(([team]) => team));
  const labelled = Map.groupBy(queue, ({ job }) => {
    return `${shown.has(job.team) ? job.team : "others"} ${bucketOf(job.priority)}`;
  });
  return [...labelled].map(([label, { length: count }]) => {
    const [team = "", priority = ""] = label.split(" ");
    return { team, priority, count };
  });
}

function bucketOf(priority: number): string {
  if (priority === 0) return "normal";
  return priority < 0 ? "low" : "high";
}
