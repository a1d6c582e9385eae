import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AnalysisAction,
  type LocalDecision,
  LocalDecisionKind,
  LocalDecisionSchema,
  type Route,
  RouteSchema,
} from "@kedge/proto";
import { heldRoute, isMergedIn, type LocalScale, shareOf } from "../local/held-route.ts";

/** A node is given up for lost after so many ticks of silence. */
const LOST_AFTER = 3;

/**
 * The gateway of a node as an agent drives it: it follows the newest route it got, decides alone while it is cut off, and
 * holds what it decided until a route says that it was merged. What it holds is on its disk, so its agent may be killed.
 */
export class SimulatedNode {
  readonly id: string;
  readonly wave: number;
  readonly #held = new Map<string, LocalDecision>();
  readonly #told = new Set<string>();
  #route: Route | undefined;
  #silentFor = 0;
  isCut = false;

  constructor(id: string, wave: number) {
    this.id = id;
    this.wave = wave;
  }

  get isLost(): boolean {
    return this.#silentFor >= LOST_AFTER;
  }

  get generation(): bigint {
    return this.#route?.generation ?? 0n;
  }

  /** Decisions that no route has acknowledged. */
  get held(): readonly LocalDecision[] {
    return [...this.#held.values()];
  }

  /** Time passes. */
  tick(): void {
    this.#silentFor = this.isCut ? this.#silentFor + 1 : 0;
  }

  /** The network is back: what it tells now. */
  reconnect(): readonly LocalDecision[] {
    this.isCut = false;
    return this.held;
  }

  /** Gets the newest route document. */
  receive(route: Route): void {
    if (this.isCut || route.generation <= this.generation) return;
    this.#route = create(RouteSchema, { ...route, splits: route.waves[this.wave]?.splits ?? route.splits });
    for (const { rolloutId } of this.held) if (isMergedIn(route, rolloutId, this.id)) this.#held.delete(rolloutId);
  }

  /** The controller has it on record, or has refused it. */
  acknowledged({ rolloutId }: LocalDecision): void {
    this.#told.add(rolloutId);
  }

  /** Gets its newest assignment: which revisions it has replicas of. */
  assigned(revisions: ReadonlySet<number>): void {
    if (this.isCut) return;
    for (const { rolloutId, revision } of this.held) {
      if (this.#told.has(rolloutId) && !revisions.has(revision)) this.#held.delete(rolloutId);
    }
  }

  /** Its own windows speak against the new revision; undefined when it may not judge. */
  decide(nowMs: number): LocalDecision | undefined {
    const route = this.#route;
    const judgement = route?.judgement;
    if (!this.isCut || route === undefined || judgement === undefined) return undefined;
    const { rolloutId, toRevision: revision, fromRevision, analysis } = judgement;
    if (this.#held.has(rolloutId) || isMergedIn(route, rolloutId, this.id)) return undefined;
    const pauses = analysis?.action === AnalysisAction.PAUSE;
    const decision = create(LocalDecisionSchema, {
      ...{ nodeId: this.id, deployment: route.deployment, rolloutId, revision, fromRevision, reason: "worse here" },
      kind: pauses ? LocalDecisionKind.PAUSE : LocalDecisionKind.ROLLBACK,
      at: timestampFromMs(nowMs),
      heldBasisPoints: pauses ? shareOf(route, revision) : 0,
      routeGeneration: route.generation,
    });
    this.#held.set(rolloutId, decision);
    return decision;
  }

  /** What it serves, whatever the route says. */
  served(scale: LocalScale): Route | undefined {
    return this.#route && this.held.reduce((held, decision) => heldRoute(held, decision, scale), this.#route);
  }
}
