import type { Cluster, Reservation, ReserveOptions } from "../cluster.ts";
import type { Demand } from "../demand.ts";

/** How a demand's claim is recorded. */
export function claimOptions(demand: Demand, gpuIndices: readonly number[]): ReserveOptions {
  const { spreadKey, workload, artifacts } = demand;
  return { gpuIndices, spreadKey, workload, artifacts: artifacts?.map(({ name }) => name) };
}

/** Reservations of jobs that are taken out of the cluster for a moment, to see what would fit without them. */
export class SetAside {
  readonly #cluster: Cluster;
  readonly #taken = new Map<string, { readonly reservation: Reservation; readonly demand: Demand }>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Keys that are out now, in the order they were taken. */
  get keys(): readonly string[] {
    return [...this.#taken.keys()];
  }

  take(key: string, demand: Demand): void {
    const reservation = this.#cluster.reservation(key);
    if (reservation === undefined || this.#taken.has(key)) return;
    this.#taken.set(key, { reservation, demand });
    this.#cluster.release(key);
  }

  putBack(key: string): void {
    const taken = this.#taken.get(key);
    if (taken === undefined) return;
    this.#taken.delete(key);
    const { reservation, demand } = taken;
    this.#cluster.reserve(reservation.nodeId, key, reservation.resources, {
      ...claimOptions(demand, reservation.gpuIndices),
      heldFor: reservation.heldFor,
    });
  }

  putAllBack(): void {
    for (const key of this.keys) this.putBack(key);
  }
}
