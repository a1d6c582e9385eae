import { create } from "@bufbuild/protobuf";
import { type LocalDecision, type Route, RouteSchema } from "@kedge/proto";
import type { RouteBrief } from "../deployment-route.ts";
import type { RoutePlan } from "../desired-route.ts";
import type { RevisionScale } from "../desired-scales.ts";
import type { LocalScale } from "../local/held-route.ts";
import type { ReplicaCounts, RolloutObservation, WaveView } from "../observation.ts";
import type { Seeded } from "./seeded.ts";
import { SimulatedNode } from "./simulated-node.ts";

interface Replica {
  readonly wave: number;
  state: "starting" | "ready" | "failed";
}

/** Nodes, replicas and routes as they really are; what is said of them may be late, repeated, reordered or lost. */
export class SimulatedFleet {
  /**
   * How likely at a tick a replica that starts becomes ready, one that is ready goes down, and one fails for good; that a node
   * is cut off, comes back, decides against the new revision while it is alone, and gets the newest route.
   */
  chances = { ready: 0.5, down: 0.05, fail: 0.004, cut: 0.12, back: 0.3, decide: 0.3, route: 0.7 };
  readonly #random: Seeded;
  readonly #waves: number;
  readonly #perWave: number;
  readonly #replicas = new Map<number, Replica[]>();
  readonly nodes: readonly SimulatedNode[];
  /** What nodes have told and the controller has not acknowledged; the network may deliver it any time. */
  readonly #mail = new Set<LocalDecision>();
  #route: Route | undefined;
  #generation = 0n;

  constructor(random: Seeded, size: { readonly waves: number; readonly perWave: number }) {
    this.#random = random;
    this.#waves = size.waves;
    this.#perWave = size.perWave;
    this.nodes = Array.from({ length: this.total }, (_, i) => {
      const wave = i % size.waves;
      return new SimulatedNode(`node-${wave}-${Math.floor(i / size.waves)}`, wave);
    });
  }

  /** Replicas at full scale. */
  get total(): number {
    return this.#waves * this.#perWave;
  }

  /** Whether there is nothing that somebody has yet to hear. */
  get isQuiet(): boolean {
    return this.#mail.size === 0 && this.nodes.every(({ isCut, held }) => !isCut && held.length === 0);
  }

  /** The route document is replaced if it changes; nodes learn of it later. */
  putRoute(deployment: string, plan: RoutePlan & RouteBrief): void {
    this.#generation += 1n;
    this.#route = create(RouteSchema, { deployment, generation: this.#generation, ...plan });
  }

  /** Replicas start and end as wanted; those that are not ready end first. */
  follow(scales: readonly RevisionScale[]): void {
    const wanted = new Map(scales.map((scale) => [scale.revision, scale]));
    for (const revision of [...this.#replicas.keys()]) if (!wanted.has(revision)) this.#replicas.delete(revision);
    for (const [revision, scale] of wanted) this.#scale(revision, scale);
  }

  /** Time passes: replicas come up and go down, nodes are cut off and come back, and apply the newest route. */
  tick(nowMs: number): void {
    for (const replica of [...this.#replicas.values()].flat()) this.#age(replica);
    for (const node of this.nodes) {
      this.#connect(node);
      node.tick();
      if (this.#route !== undefined && this.#random.chance(this.chances.route)) node.receive(this.#route);
      node.assigned(new Set(this.#replicas.keys()));
      if (this.#random.chance(this.chances.decide)) node.decide(nowMs);
    }
  }

  /** What of the decisions that nodes have told reaches a controller now: some of them, in any order, some twice. */
  deliver(all: boolean): readonly LocalDecision[] {
    const some = [...this.#mail].filter(() => all || this.#random.chance(0.5));
    const twice = some.filter(() => this.#random.chance(0.2));
    return [...some, ...twice].toSorted(() => this.#random.next() - 0.5);
  }

  /** A controller has stored these, so they come no more, unless the acknowledgement is lost. */
  acknowledge(decisions: readonly LocalDecision[]): void {
    for (const decision of decisions) {
      this.#mail.delete(decision);
      this.nodes.find(({ id }) => id === decision.nodeId)?.acknowledged(decision);
    }
  }

  /** The replicas that a node goes by. */
  scaleOf({ wave }: SimulatedNode): LocalScale {
    const here = (revision: number) => (this.#replicas.get(revision) ?? []).filter((replica) => replica.wave === wave);
    return {
      assigned: (revision) => here(revision).length,
      ready: (revision) => here(revision).filter(({ state }) => state === "ready").length,
    };
  }

  /** What a controller with fresh heartbeats would see. Nodes that are lost hold nothing up. */
  observe(): Pick<RolloutObservation, "replicas" | "waves" | "routeInForce"> {
    const waves = Array.from({ length: this.#waves }, (_, wave) => this.#view(wave));
    const isApplied = this.nodes.every(({ isLost, generation }) => isLost || generation === this.#generation);
    return {
      replicas: this.#counts(),
      ...(this.#waves > 1 ? { waves } : {}),
      ...(this.#route !== undefined && isApplied ? { routeInForce: this.#route } : {}),
    };
  }

  /** Everything goes right from here on: what failed for good starts again, and everybody hears everybody. */
  heal(): void {
    this.chances = { ready: 0.9, down: 0, fail: 0, cut: 0, back: 1, decide: 0, route: 1 };
    for (const replica of [...this.#replicas.values()].flat())
      if (replica.state === "failed") replica.state = "starting";
  }

  #connect(node: SimulatedNode): void {
    if (!node.isCut) node.isCut = this.#random.chance(this.chances.cut);
    else if (this.#random.chance(this.chances.back)) for (const decision of node.reconnect()) this.#mail.add(decision);
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
