import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Clock, Logger } from "@kedge/kernel";
import {
  AnalysisAction,
  type Assignment,
  type LocalDecision,
  LocalDecisionKind,
  LocalDecisionSchema,
  type Route,
  type RouteJudgement,
  type Verdict,
  VerdictKind,
  type Window,
} from "@kedge/proto";
import { heldRoute, isMergedIn, type LocalScale, shareOf } from "@kedge/rollout/local";
import { untilDone } from "../tasks/until-done.ts";
import { Contact } from "./contact.ts";
import { HeldDecisions } from "./held-decisions.ts";
import { type LocalTrial, LocalTrials } from "./local-trials.ts";

/** What a node goes on alone with. */
export interface AutonomyOptions {
  readonly nodeId: string;
  /** Folder for its decisions. */
  readonly dir: string;
  readonly cutOffMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stores one decision with the controller; harmless to repeat. */
  readonly publish: (decision: LocalDecision) => Promise<void>;
  /** What may be served has changed. */
  readonly onChange: () => void;
}

/**
 * What a node does when it is cut off while a rollout is judged: it judges on its own windows, and goes back or holds the share
 * by itself. It never gives a new revision more. A decision is on disk before it is acted on, and is held, whatever routes
 * say, until a route tells that the controller has merged it.
 */
export class Autonomy {
  readonly #options: AutonomyOptions;
  readonly #contact: Contact;
  readonly #held: HeldDecisions;
  readonly #trials: LocalTrials;
  readonly #abort = new AbortController();
  /** The routes of this node. */
  readonly #routes = new Map<string, Route>();
  #assignment: Assignment | undefined;
  /** Rollouts of which the decision is stored with the controller. */
  readonly #told = new Set<string>();
  readonly #telling = new Set<Promise<unknown>>();

  constructor(options: AutonomyOptions) {
    const { clock, logger, cutOffMs, dir } = options;
    this.#options = options;
    this.#held = new HeldDecisions(dir, logger);
    this.#trials = new LocalTrials({ clock, logger });
    this.#contact = new Contact({ clock, cutOffMs, onRegained: () => this.#tellAll() });
  }

  get isCutOff(): boolean {
    return this.#contact.isCutOff;
  }

  /** Takes up what an earlier process held; before anything is served. */
  load(): void {
    this.#held.load();
  }

  /** Ends; decisions stay on disk. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#telling);
  }

  /** The controller was heard. */
  heard(): void {
    this.#contact.heard();
  }

  /** Takes a deployment's new route as it is for this node, or its end; decisions that it knows of are let go. */
  follow(deployment: string, route: Route | undefined): void {
    if (route === undefined) {
      this.#routes.delete(deployment);
      this.#trials.end(deployment);
      return;
    }
    this.#routes.set(deployment, route);
    for (const { rolloutId } of this.#held.of(deployment)) {
      if (isMergedIn(route, rolloutId, this.#options.nodeId)) this.#release(rolloutId, "the controller has merged it");
    }
  }

  /** Lets go of decisions about revisions that the controller, which knows of them, has taken away from this node. */
  assigned(assignment: Assignment): void {
    this.#assignment = assignment;
    this.#releaseGone();
  }

  /** What this node has decided and the controller has not merged, as far as is known here. */
  get decisions(): readonly LocalDecision[] {
    return this.#held.all;
  }

  /** A route as this node may serve it, in view of what it has decided. */
  held(route: Route, scale: LocalScale): Route {
    const decisions = this.#held.of(route.deployment);
    return decisions.reduce((held, decision) => heldRoute(held, decision, scale), route);
  }

  /** Takes a window of this node's gateway; on its own, the node acts on what it shows. */
  observe(window: Window): void {
    const route = this.#routes.get(window.deployment);
    const judgement = route?.judgement;
    if (route === undefined || judgement === undefined || this.#isDecided(route, judgement)) return;
    const local = this.#trials.observe(window, judgement);
    if (local === undefined || !this.isCutOff) return;
    local.requestsAlone += window.revisions.find((part) => part.revision === judgement.toRevision)?.requests ?? 0;
    const verdict = this.#trials.verdict(local);
    if (verdict?.kind === VerdictKind.ROLLBACK) this.#decide(route, local, verdict);
  }

  #releaseGone(): void {
    const replicas = this.#assignment?.replicas;
    for (const { rolloutId, deployment, revision } of replicas === undefined ? [] : this.#held.all) {
      const isHere = replicas?.some((each) => each.deployment === deployment && each.revision === revision);
      if (!isHere && this.#told.has(rolloutId)) this.#release(rolloutId, "its revision is gone from this node");
    }
  }

  #decide(route: Route, { judgement }: LocalTrial, verdict: Verdict): void {
    const pauses = judgement.analysis?.action === AnalysisAction.PAUSE;
    const kind = pauses ? LocalDecisionKind.PAUSE : LocalDecisionKind.ROLLBACK;
    const heldBasisPoints = pauses ? shareOf(route, judgement.toRevision) : 0;
    this.#held.hold({ ...this.#decision(route, judgement, { kind, verdict }), heldBasisPoints });
    this.#trials.end(route.deployment);
    const { rolloutId, toRevision: revision } = judgement;
    const fields = { deployment: route.deployment, rolloutId, revision, reason: verdict.reason };
    this.#options.logger.warn(fields, pauses ? "cut off, this node holds the share" : "cut off, this node rolls back");
    this.#options.onChange();
  }

  #decision(
    { deployment, generation }: Route,
    { rolloutId, fromRevision, toRevision }: RouteJudgement,
    { kind, verdict }: { readonly kind: LocalDecisionKind; readonly verdict: Verdict },
  ): LocalDecision {
    const { nodeId, clock } = this.#options;
    return create(LocalDecisionSchema, {
      ...{ nodeId, deployment, rolloutId, fromRevision, kind, verdict, revision: toRevision },
      at: timestampFromMs(clock.now()),
      reason: verdict.reason,
      routeGeneration: generation,
      cutOffSeconds: Math.round(this.#contact.silentMs / 1000),
    });
  }

  #isDecided(route: Route, { rolloutId }: RouteJudgement): boolean {
    return this.#held.has(rolloutId) || isMergedIn(route, rolloutId, this.#options.nodeId);
  }

  #release(rolloutId: string, reason: string): void {
    this.#held.release(rolloutId);
    this.#told.delete(rolloutId);
    this.#options.logger.info({ rolloutId, reason }, "this node's decision is no longer held");
  }

  /** Tells what was decided alone, and of rollouts that were judged alone and went on that they did. */
  #tellAll(): void {
    const went = this.#trials.entries().flatMap(([deployment, local]) => this.#wentOn(deployment, local));
    for (const decision of [...this.#held.all, ...went]) this.#tell(decision);
  }

  #wentOn(deployment: string, local: LocalTrial): LocalDecision[] {
    const route = this.#routes.get(deployment);
    const verdict = local.requestsAlone > 0 ? this.#trials.verdict(local) : undefined;
    local.requestsAlone = 0;
    if (route === undefined || verdict === undefined || verdict.kind === VerdictKind.ROLLBACK) return [];
    return [this.#decision(route, local.judgement, { kind: LocalDecisionKind.CONTINUE, verdict })];
  }

  #tell(decision: LocalDecision): void {
    const { clock, logger, publish } = this.#options;
    const { signal } = this.#abort;
    const told = untilDone(() => publish(decision), { clock, logger, signal, what: "decision" }).then((isDone) => {
      this.#telling.delete(told);
      if (!isDone) return;
      this.#told.add(decision.rolloutId);
      this.#releaseGone();
    });
    this.#telling.add(told);
  }
}
