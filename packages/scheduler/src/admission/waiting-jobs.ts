import type { Amounts } from "@kedge/domain";
import type { WaitingJob } from "./admission-types.ts";
import { claimedAmounts } from "./amounts.ts";
import { type Shape, Shapes } from "./shapes.ts";

/** A waiting job with what does not change while it waits. */
export interface Waiting {
  readonly job: WaitingJob;
  /** As quotas count it: with "jobs" 1. */
  readonly amounts: Amounts;
  readonly shape: Shape;
}

/** The jobs that wait, by key, by name, by gang and by priority. */
export class WaitingJobs {
  readonly #byKey = new Map<string, Waiting>();
  readonly #keyByName = new Map<string, string>();
  readonly #gangs = new Map<string, Set<Waiting>>();
  readonly #teams = new Map<string, number>();
  readonly #priorities = new Map<number, number>();
  readonly #shapes = new Shapes();

  get size(): number {
    return this.#byKey.size;
  }

  all(): Iterable<Waiting> {
    return this.#byKey.values();
  }

  get(key: string): Waiting | undefined {
    return this.#byKey.get(key);
  }

  byName(name: string): Waiting | undefined {
    return this.#byKey.get(this.#keyByName.get(name) ?? "");
  }

  /** Those of a gang that wait. */
  ofGang(id: string): readonly Waiting[] {
    return [...(this.#gangs.get(id) ?? [])];
  }

  /** How many wait of each team. */
  get teams(): ReadonlyMap<string, number> {
    return this.#teams;
  }

  /** How many wait at each priority. */
  get priorities(): ReadonlyMap<number, number> {
    return this.#priorities;
  }

  /** Adds a job; one of the same name or key is replaced. */
  add(job: WaitingJob): Waiting {
    this.remove(job.key);
    this.removeNamed(job.name);
    const waiting = {
      job,
      amounts: { ...claimedAmounts(job.demand.resources), jobs: 1 },
      shape: this.#shapes.acquire(job.demand),
    };
    this.#byKey.set(job.key, waiting);
    this.#keyByName.set(job.name, job.key);
    if (job.gang !== undefined) this.#gangOf(job.gang.id).add(waiting);
    this.#count(job, 1);
    return waiting;
  }

  /** False when no such job waits. */
  remove(key: string): boolean {
    const waiting = this.#byKey.get(key);
    if (waiting === undefined) return false;
    const { job } = waiting;
    this.#byKey.delete(key);
    this.#keyByName.delete(job.name);
    this.#shapes.release(job.demand);
    const gang = this.#gangs.get(job.gang?.id ?? "");
    if (gang?.delete(waiting) && gang.size === 0) this.#gangs.delete(job.gang?.id ?? "");
    this.#count(job, -1);
    return true;
  }

  removeNamed(name: string): boolean {
    return this.remove(this.#keyByName.get(name) ?? "");
  }

  #gangOf(id: string): Set<Waiting> {
    const gang = this.#gangs.get(id) ?? new Set<Waiting>();
    this.#gangs.set(id, gang);
    return gang;
  }

  #count({ team, priority }: WaitingJob, by: 1 | -1): void {
    countUp(this.#teams, team, by);
    countUp(this.#priorities, priority, by);
  }
}

/** Adds to a count; at 0 the key is dropped. */
export function countUp<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
