import { create } from "@bufbuild/protobuf";
import { type Route, RouteSchema } from "@kedge/proto";
import type { RoutePlan } from "../desired-route.ts";
import type { RevisionScale } from "../desired-scales.ts";
import type { ReplicaCounts, RolloutObservation, WaveView } from "../observation.ts";
import type { Seeded } from "./seeded.ts";

interface Replica {
  readonly wave: number;
  state: "starting" | "ready" | "failed";
}

/** Nodes, replicas and routes as they really are; what is said of them may be late, repeated or lost. */
export class SimulatedFleet {
  /** How likely a replica that starts becomes ready at a tick, one that is ready goes down, and one fails for good. */
  chances = { ready: 0.5, down: 0.05, fail: 0.004 };
  readonly #random: Seeded;
  readonly #waves: number;
  readonly #perWave: number;
  readonly #replicas = new Map<number, Replica[]>();
  #route: Route | undefined;
  #generation = 0n;
  readonly #applied: bigint[];

  constructor(random: Seeded, size: { readonly waves: number; readonly perWave: number }) {
    this.#random = random;
    this.#waves = size.waves;
    this.#perWave = size.perWave;
    this.#applied = Array.from({ length: size.waves }, () => 0n);
  }

  /** Replicas at full scale. */
  get total(): number {
    return this.#waves * this.#perWave;
  }

  /** The newest route document. */
  get route(): Route | undefined {
    return this.#route;
  }

  /** The route document is replaced; nodes learn of it later. */
  putRoute(deployment: string, plan: RoutePlan): void {
    this.#generation += 1n;
    this.#route = create(RouteSchema, { deployment, generation: this.#generation, ...plan });
  }

  /** Replicas start and end as wanted; those that are not ready end first. */
  follow(scales: readonly RevisionScale[]): void {
    const wanted = new Map(scales.map((scale) => [scale.revision, scale]));
    for (const revision of [...this.#replicas.keys()]) if (!wanted.has(revision)) this.#replicas.delete(revision);
    for (const [revision, scale] of wanted) this.#scale(revision, scale);
  }

  /** Time passes: replicas come up and go down, nodes apply the newest route. */
  tick(): void {
    for (const replica of [...this.#replicas.values()].flat()) this.#age(replica);
    for (let wave = 0; wave < this.#waves; wave++) {
      if (this.#random.chance(0.7)) this.#applied[wave] = this.#generation;
    }
  }

  /** What a controller with fresh heartbeats would see. */
  observe(): Pick<RolloutObservation, "replicas" | "waves" | "routeInForce"> {
    const waves = Array.from({ length: this.#waves }, (_, wave) => this.#view(wave));
    const isApplied = this.#applied.every((generation) => generation === this.#generation);
    return {
      replicas: this.#counts(),
      ...(this.#waves > 1 ? { waves } : {}),
      ...(this.#route !== undefined && isApplied ? { routeInForce: this.#route } : {}),
    };
  }

  /** What failed for good is repaired and starts again. */
  heal(): void {
    for (const replica of [...this.#replicas.values()].flat())
      if (replica.state === "failed") replica.state = "starting";
  }

  #scale(revision: number, scale: RevisionScale): void {
    const here = this.#replicas.get(revision) ?? [];
    const perWave = Array.from({ length: scale.waves ?? this.#waves }, () => this.#perWave);
    const order = { starting: 1, failed: 2, ready: 0 };
    const kept = here.toSorted((a, b) => order[a.state] - order[b.state]).slice(0, scale.replicas ?? this.total);
    for (const [wave, count] of perWave.entries()) {
      const missing = count - kept.filter((replica) => replica.wave === wave).length;
      const room = (scale.replicas ?? this.total) - kept.length;
      for (let i = 0; i < Math.min(missing, room); i++) kept.push({ wave, state: "starting" });
    }
    this.#replicas.set(revision, kept);
  }

  #age(replica: Replica): void {
    if (replica.state === "failed") return;
    if (this.#random.chance(this.chances.fail)) replica.state = "failed";
    else if (replica.state === "starting" && this.#random.chance(this.chances.ready)) replica.state = "ready";
    else if (replica.state === "ready" && this.#random.chance(this.chances.down)) replica.state = "starting";
  }

  #view(wave: number): WaveView {
    const failed = [...this.#replicas.values()].flat().filter((each) => each.wave === wave && each.state === "failed");
    return {
      nodes: this.#perWave,
      failedNodes: failed.map((_, i) => `node-${wave}-${i}`),
      replicas: this.#counts(wave),
    };
  }

  #counts(wave?: number): Map<number, ReplicaCounts> {
    const counts = new Map<number, ReplicaCounts>();
    for (const [revision, all] of this.#replicas) {
      const here = all.filter((replica) => wave === undefined || replica.wave === wave);
      counts.set(revision, {
        desired: wave === undefined ? this.total : this.#perWave,
        ready: here.filter((replica) => replica.state === "ready").length,
        failed: here.filter((replica) => replica.state === "failed").length,
      });
    }
    return counts;
  }
}
