import { clone, equals } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isRolloutEnded } from "@kedge/domain";
import type { Clock, ReconcileResult } from "@kedge/kernel";
import {
  type Deployment,
  DeploymentSchema,
  type ReplicaAssignment,
  type Revision,
  RevisionState,
  type Rollout,
  RolloutState,
} from "@kedge/proto";
import {
  desiredRevisions,
  desiredRoute,
  type ReplicaCounts,
  type RoutePlan,
  startRollout,
  stepRollout,
} from "@kedge/rollout";
import type { EventRecorder } from "../events/recorder.ts";
import type { ModelRegistry } from "../models/registry.ts";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Stores } from "../stores.ts";
import { hasActiveRollout, wantedRevision } from "./apply.ts";
import type { RolloutJudges } from "./judges.ts";
import { endMoves } from "./moves.ts";
import { countReplicas, routeInForce } from "./observation.ts";
import { planReplicas, type ReplicaPlan } from "./replica-plan.ts";
import { recordMoves, recordRolloutEvents } from "./rollout-events.ts";
import type { RouteWriter } from "./route-writer.ts";

/** What deployments are reconciled with. */
export interface DeploymentReconcilerOptions {
  readonly stores: Stores;
  readonly book: CapacityBook;
  readonly registry: NodeRegistry;
  readonly models: ModelRegistry;
  readonly assignments: AssignmentWriter;
  readonly routes: RouteWriter;
  readonly judges: RolloutJudges;
  readonly events: EventRecorder;
  /** Called once a rollout's end is stored. */
  readonly onRolloutEnd: (rollout: Rollout) => void;
  readonly clock: Clock;
}

const TICK_MS = 250;
const RESYNC_MS = 5_000;
const MAX_HISTORY = 10;
/** Tag that follows the version in force. */
const PROMOTED_TAG = "promoted";
const TAG_WITHIN_MS = 3_600_000;

/**
 * Makes deployments so. The order of writes is what keeps promises: the decision is stored first, then the route, then
 * the replicas; so a rolled-back revision never serves again, and no replica goes before its traffic has gone.
 */
export class DeploymentReconciler {
  readonly #options: DeploymentReconcilerOptions;
  /** Revision whose model version carries the tag, by deployment, as far as this process knows. */
  readonly #tagged = new Map<string, number>();

  constructor(options: DeploymentReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(name: string): Promise<ReconcileResult | undefined> {
    const stored = this.#options.stores.deployments.get(name);
    if (stored === undefined) return this.#cleanUp(name);
    if (stored.value.deleting) return this.#delete(name, stored.revision);
    const deployment = clone(DeploymentSchema, stored.value);
    this.#beginRollout(deployment);
    const ended = endMoves(deployment, this.#options.clock.now(), this.#options);
    const plans = this.#plan(deployment);
    const counts = this.#count(deployment, plans);
    this.#step(deployment, counts);
    if (!equals(DeploymentSchema, deployment, stored.value)) {
      await this.#options.stores.deployments.update(name, deployment, stored.revision);
      recordRolloutEvents(this.#options.events, stored.value, deployment);
      recordMoves(this.#options.events, name, ended);
      const rollout = endedRollout(stored.value, deployment);
      if (rollout !== undefined) this.#options.onRolloutEnd(rollout);
    }
    const route = routePlan(deployment, counts);
    if (route !== undefined) await this.#options.routes.put(name, route);
    await this.#assign(name, desired(deployment), plans);
    await this.#tagPromoted(deployment);
    const isBusy = hasActiveRollout(deployment) || deployment.moves.length > 0;
    return { requeueAfterMs: isBusy ? TICK_MS : RESYNC_MS };
  }

  #beginRollout(deployment: Deployment): void {
    const wanted = wantedRevision(deployment);
    if (wanted === undefined || hasActiveRollout(deployment) || wanted.number === deployment.stableRevision) return;
    if (deployment.rollout) deployment.history = [...deployment.history, deployment.rollout].slice(-MAX_HISTORY);
    const job = Object.entries(deployment.applied).find(([key]) => key.startsWith(`${wanted.runId}/`))?.[0];
    deployment.rollout = startRollout(
      {
        deployment: deployment.name,
        fromRevision: deployment.stableRevision,
        toRevision: wanted.number,
        attempt: 1 + deployment.history.filter((rollout) => rollout.toRevision === wanted.number).length,
        strategy: deployment.spec?.strategy,
        analysis: deployment.spec?.analysis,
        runId: wanted.runId,
        job: wanted.runId === "" ? "" : (job?.split("/")[1] ?? ""),
      },
      this.#options.clock.now(),
    );
  }

  /** Plans for every revision that has replicas or is to have them. */
  #plan(deployment: Deployment): Map<number, ReplicaPlan> {
    const plans = new Map<number, ReplicaPlan>();
    delete deployment.pending;
    for (const number of desired(deployment)) {
      const revision = deployment.revisions.find((candidate) => candidate.number === number);
      if (revision === undefined) continue;
      const plan = planReplicas(deployment, revision, this.#options);
      plans.set(number, plan);
      if (plan.pending) deployment.pending = plan.pending;
    }
    return plans;
  }

  #count(deployment: Deployment, plans: ReadonlyMap<number, ReplicaPlan>): Map<number, ReplicaCounts> {
    const counts = new Map<number, ReplicaCounts>();
    for (const [number, plan] of plans) {
      counts.set(number, countReplicas(plan, deployment.name, this.#options.registry));
    }
    return counts;
  }

  #step(deployment: Deployment, replicas: ReadonlyMap<number, ReplicaCounts>): void {
    const { registry, assignments, routes, judges, clock } = this.#options;
    const rollout = deployment.rollout;
    if (rollout === undefined || isRolloutEnded(rollout.state)) {
      judges.forget(deployment.name);
      return;
    }
    const wanted = wantedRevision(deployment);
    const inForce = routeInForce(deployment.name, routes.current(deployment.name), registry, assignments);
    deployment.rollout = stepRollout({
      rollout,
      now: clock.now(),
      observation: {
        replicas,
        ...judges.evidence(deployment.name, rollout),
        ...(inForce === undefined ? {} : { routeInForce: inForce }),
        ...(wanted !== undefined && wanted.number > rollout.toRevision ? { supersededBy: wanted.number } : {}),
      },
    }).rollout;
    if (isRolloutEnded(deployment.rollout.state)) closeRollout(deployment, deployment.rollout);
  }

  /** Repeated until it worked, and after a restart in case the tag was what the crash cost. */
  async #tagPromoted({ name, stableRevision, rollout, revisions }: Deployment): Promise<void> {
    if (rollout?.state !== RolloutState.SUCCEEDED || this.#tagged.get(name) === stableRevision) return;
    const source = revisions.find((revision) => revision.number === stableRevision)?.template?.source;
    const endedMs = rollout.finishedAt === undefined ? 0 : timestampMs(rollout.finishedAt);
    // Long after the promotion the tag is where people put it.
    if (source?.case === "model" && this.#options.clock.now() - endedMs < TAG_WITHIN_MS) {
      await this.#options.models.tag(source.value.model, Number(source.value.version), PROMOTED_TAG);
    }
    this.#tagged.set(name, stableRevision);
  }

  async #assign(name: string, wanted: readonly number[], plans: ReadonlyMap<number, ReplicaPlan>): Promise<void> {
    const { assignments } = this.#options;
    const byNode = new Map<string, ReplicaAssignment[]>();
    for (const { nodeId } of assignments.replicas(name)) byNode.set(nodeId, []);
    for (const number of wanted) {
      for (const [nodeId, replicas] of plans.get(number)?.byNode ?? []) {
        byNode.set(nodeId, [...(byNode.get(nodeId) ?? []), ...replicas]);
      }
    }
    for (const [nodeId, replicas] of byNode) await assignments.setReplicas(nodeId, name, replicas);
  }

  async #cleanUp(name: string): Promise<undefined> {
    await this.#options.routes.remove(name);
    await this.#assign(name, [], new Map());
    this.#options.judges.forget(name);
    this.#tagged.delete(name);
  }

  async #delete(name: string, revision: number): Promise<ReconcileResult | undefined> {
    await this.#cleanUp(name);
    const left = [...this.#options.registry.replicas(name)].length;
    if (left > 0) return { requeueAfterMs: TICK_MS };
    await this.#options.stores.deployments.delete(name, revision);
    this.#options.events.record({ kind: "deployment", name, reason: "Deleted", message: "no replica is left" });
    return undefined;
  }
}

/** The revisions that must have replicas now. */
function desired(deployment: Deployment): number[] {
  if (deployment.rollout !== undefined) return desiredRevisions(deployment.rollout);
  return deployment.stableRevision > 0 ? [deployment.stableRevision] : [];
}

function routePlan(deployment: Deployment, counts: ReadonlyMap<number, ReplicaCounts>): RoutePlan | undefined {
  return deployment.rollout === undefined ? undefined : desiredRoute(deployment.rollout, counts);
}

/** The rollout that ended between two states of a deployment. */
function endedRollout(before: Deployment, { rollout }: Deployment): Rollout | undefined {
  if (rollout === undefined || !isRolloutEnded(rollout.state)) return undefined;
  return before.rollout?.id === rollout.id && before.rollout.state === rollout.state ? undefined : rollout;
}

/** Takes a rollout's end into the revisions, in place. */
function closeRollout(deployment: Deployment, rollout: Rollout): void {
  const to = revisionOf(deployment, rollout.toRevision);
  const from = revisionOf(deployment, rollout.fromRevision);
  if (rollout.state === RolloutState.SUCCEEDED) {
    deployment.stableRevision = rollout.toRevision;
    if (to) to.state = RevisionState.STABLE;
    if (from) from.state = RevisionState.RETIRED;
  } else if (to) {
    to.state = RevisionState.ROLLED_BACK;
  }
}

function revisionOf(deployment: Deployment, number: number): Revision | undefined {
  return deployment.revisions.find((revision) => revision.number === number);
}
