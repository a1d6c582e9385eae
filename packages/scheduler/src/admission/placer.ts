import type { Cluster } from "../cluster.ts";
import type { PlacedDemand } from "../demand.ts";
import { placeGang } from "../gang.ts";
import { place } from "../place.ts";
import type { Placed, RunningJob } from "./admission-types.ts";
import { addTo, type Tally } from "./amounts.ts";
import { Failures } from "./failures.ts";
import type { Holds } from "./holds.ts";
import type { Ledger } from "./ledger.ts";
import { claimOptions } from "./set-aside.ts";
import type { Unit } from "./unit.ts";

/** What a pass works on. */
export interface PlacerOptions {
  readonly cluster: Cluster;
  readonly ledger: Ledger;
  readonly holds: Holds;
  readonly nowMs: number;
  /** What is free in the cluster; kept up to date. */
  readonly left: Tally;
}

/** Places units one after the other, around and through holds, and keeps cluster, ledger and holds in step. */
export class Placer {
  readonly #options: PlacerOptions;
  readonly #failures: Failures;
  readonly #placed = new Map<Unit, readonly Placed[]>();
  readonly #hadRoom = new Set<string>();
  readonly #unfit = new Map<Unit, string>();
  #jobs = 0;

  constructor(options: PlacerOptions) {
    this.#options = options;
    this.#failures = new Failures(options.holds, options.nowMs);
  }

  /** What was placed, in order. */
  get placed(): ReadonlyMap<Unit, readonly Placed[]> {
    return this.#placed;
  }

  /** How many jobs were. */
  get jobs(): number {
    return this.#jobs;
  }

  /** Finds out which single jobs have room before anything is placed: one placement per shape. */
  probe(units: readonly Unit[]): void {
    for (const unit of units) {
      if (unit.members.length > 1 || this.#hadRoom.has(unit.shapes) || this.#failures.unfit(unit, 0) !== undefined)
        continue;
      if (place(this.#options.cluster, unit.first.demand).kind === "placed") this.#hadRoom.add(unit.shapes);
      else this.#failures.note(unit, 0, unit.first.name);
    }
  }

  /** Whether there was room for units like this one at the start. */
  hadRoom(unit: Unit): boolean {
    return this.#hadRoom.has(unit.shapes);
  }

  /** The member that kept a gang from being placed. */
  unfitMember(unit: Unit): string | undefined {
    return this.#unfit.get(unit);
  }

  /** Places a unit if it fits; it runs from then on. */
  tryPlace(unit: Unit): boolean {
    const known = this.#failures.unfit(unit, this.#jobs);
    const places = known ?? this.#find(unit);
    if (typeof places !== "string") {
      this.#claim(unit, places);
      return true;
    }
    if (known === undefined) this.#failures.note(unit, this.#jobs, places);
    if (unit.gang !== undefined) this.#unfit.set(unit, places);
    return false;
  }

  /** Undoes a placement of this pass. */
  takeBack(unit: Unit): void {
    const { cluster, ledger, holds, nowMs, left } = this.#options;
    for (const { job, nodeId } of this.#placed.get(unit) ?? []) {
      cluster.release(job.key);
      ledger.end(job.key);
      ledger.wait(job);
      holds.refresh(nodeId, nowMs);
      this.#jobs--;
    }
    addTo(left, unit.amounts);
    this.#placed.delete(unit);
    this.#failures.clear();
  }

  /** Nodes for all members in order, or the name of one that fits nowhere with the others placed. */
  #find(unit: Unit): readonly PlacedDemand[] | string {
    const { holds, nowMs } = this.#options;
    const around = this.#look(unit);
    if (typeof around !== "string" || holds.size === 0) return around;
    const passable = holds.passable(nowMs + unit.limitMs);
    return passable.length === 0 ? around : holds.without(passable, () => this.#look(unit));
  }

  #look({ members, first }: Unit): readonly PlacedDemand[] | string {
    const { cluster } = this.#options;
    if (members.length === 1) {
      const result = place(cluster, first.demand);
      return result.kind === "placed" ? [result] : first.name;
    }
    const demands = members.map(({ job }) => job.demand);
    const result = placeGang(cluster, demands);
    return result.kind === "placed" ? result.placements : (members[result.index]?.job.name ?? first.name);
  }

  #claim(unit: Unit, places: readonly PlacedDemand[]): void {
    const { cluster, ledger, holds, nowMs, left } = this.#options;
    const placed: Placed[] = [];
    for (const [i, { job }] of unit.members.entries()) {
      const found = places[i];
      if (found === undefined) throw new RangeError(`no place for ${job.name}`);
      const { nodeId, gpuIndices, explanation } = found;
      cluster.reserve(nodeId, job.key, job.demand.resources, claimOptions(job.demand, gpuIndices));
      ledger.run(runningOf(job, nodeId, nowMs));
      placed.push({ job, nodeId, gpuIndices, explanation });
    }
    for (const nodeId of new Set(placed.map((one) => one.nodeId))) holds.refresh(nodeId, nowMs);
    addTo(left, unit.amounts, -1);
    this.#placed.set(unit, placed);
    this.#jobs += placed.length;
  }
}

function runningOf(job: Placed["job"], nodeId: string, startedAtMs: number): RunningJob {
  const { key, name, demand, team, priority, limitMs, preemptible, concurrency } = job;
  return {
    key,
    name,
    nodeId,
    demand,
    team,
    priority,
    startedAtMs,
    limitMs,
    preemptible,
    concurrencyGroup: concurrency?.group,
  };
}
