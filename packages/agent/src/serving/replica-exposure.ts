import { create } from "@bufbuild/protobuf";
import type { Clock } from "@kedge/kernel";
import { type ReplicaExposure, ReplicaExposureSchema } from "@kedge/proto";

/**
 * How long one replica was ready, and whether it failed then. An end counts only if the replica was ready when the time
 * that is told began: how many were at risk must be known before it is known which of them failed, or an arm's own ends would
 * make its exposure small.
 */
export class ExposureMeter {
  readonly #clock: Clock;
  #readySince: number | undefined;
  #takenAt: number;
  #wasReady = false;
  #failed = { restarts: 0, oomKills: 0 };
  #readyMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#takenAt = clock.monotonic();
  }

  /** The replica is ready. */
  begin(): void {
    this.#readySince ??= this.#clock.monotonic();
  }

  /** It is so no more; `failure` when it was not asked to end. Without a `begin` before, nothing happens. */
  end(failure?: { readonly outOfMemory: boolean }): void {
    if (this.#readySince === undefined) return;
    this.#readyMs += this.#clock.monotonic() - Math.max(this.#readySince, this.#takenAt);
    this.#readySince = undefined;
    if (failure === undefined || !this.#wasReady || this.#failed.restarts > 0) return;
    this.#failed = { restarts: 1, oomKills: failure.outOfMemory ? 1 : 0 };
  }

  /** What was since the last call. */
  take(): ReplicaExposure {
    const now = this.#clock.monotonic();
    const running = this.#readySince === undefined ? 0 : now - Math.max(this.#readySince, this.#takenAt);
    const taken = create(ReplicaExposureSchema, {
      readyMs: BigInt(Math.round(this.#readyMs + running)),
      replicas: this.#wasReady ? 1 : 0,
      ...this.#failed,
    });
    this.#takenAt = now;
    this.#readyMs = 0;
    this.#failed = { restarts: 0, oomKills: 0 };
    this.#wasReady = this.#readySince !== undefined;
    return taken;
  }
}

/** The exposures of replicas together, by revision. */
export function sumExposures(
  each: Iterable<{ readonly revision: number; readonly exposure: ReplicaExposure }>,
): ReadonlyMap<number, ReplicaExposure> {
  const sums = new Map<number, ReplicaExposure>();
  for (const { revision, exposure } of each) {
    const sum = sums.get(revision) ?? create(ReplicaExposureSchema);
    sum.readyMs += exposure.readyMs;
    sum.replicas += exposure.replicas;
    sum.restarts += exposure.restarts;
    sum.oomKills += exposure.oomKills;
    sums.set(revision, sum);
  }
  return sums;
}
