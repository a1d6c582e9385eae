import type { JobSpec, Scene } from "./scene.ts";

/** A job that comes at a time and runs for a time, of which admission knows its limit only. */
export interface SimulatedJob extends JobSpec {
  readonly runsMs: number;
}

/** What to play. */
export interface Simulation {
  readonly scene: Scene;
  /** Jobs that become ready at a step. */
  readonly arrivals: (nowMs: number) => readonly SimulatedJob[];
  readonly stepMs: number;
  readonly untilMs: number;
}

/** Plays with one pass per step; when each job started, by name. */
export function simulate({ scene, arrivals, stepMs, untilMs }: Simulation): ReadonlyMap<string, number> {
  const started = new Map<string, number>();
  const runsMs = new Map<string, number>();
  const ends: { readonly name: string; readonly atMs: number }[] = [];
  for (let nowMs = 0; nowMs <= untilMs; nowMs += stepMs) {
    for (const { name, atMs } of ends.filter((end) => end.atMs <= nowMs)) scene.end(name, atMs);
    ends.splice(0, ends.length, ...ends.filter((end) => end.atMs > nowMs));
    for (const job of arrivals(nowMs)) {
      runsMs.set(job.name, job.runsMs);
      scene.wait({ ...job, waitingSinceMs: nowMs });
    }
    for (const { job } of scene.admission.pass(nowMs).placed) {
      started.set(job.name, nowMs);
      ends.push({ name: job.name, atMs: nowMs + (runsMs.get(job.name) ?? 0) });
    }
  }
  return started;
}
