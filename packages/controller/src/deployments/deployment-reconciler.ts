import { clone, equals } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isRolloutEnded } from "@kedge/domain";
import { type Clock, type ReconcileResult, secureBytes } from "@kedge/kernel";
import {
  type Deployment,
  DeploymentSchema,
  type LocalDecision,
  type ReplicaAssignment,
  type Rollout,
  RolloutState,
} from "@kedge/proto";
import {
  type DeploymentStep,
  deploymentRoute,
  desiredScales,
  findRevision,
  hasActiveRollout,
  type Incident,
  type RevisionScale,
  type RolloutObservation,
  stepDeployment,
} from "@kedge/rollout";
import type { EventRecorder } from "../events/recorder.ts";
import type { Inbox } from "../inbox.ts";
import type { ModelRegistry } from "../models/registry.ts";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Scheduling } from "../scheduling/scheduling.ts";
import type { Stores } from "../stores.ts";
import { endAvoidance } from "./avoided-nodes.ts";
import { beginEvacuation, type EvacuationContext } from "./evacuations.ts";
import type { RolloutJudges } from "./judges.ts";
import { noteLostNodes } from "./lost-nodes.ts";
import { explainMakingRoom } from "./making-room.ts";
import { endMoves } from "./moves.ts";
import { observeReplicas, type ReplicaWorld, routeInForce } from "./observation.ts";
import { planReplicas, type ReplicaPlan } from "./replica-plan.ts";
import { recordEvacuations, recordMoves, recordRolloutEvents } from "./rollout-events.ts";
import type { RouteWriter } from "./route-writer.ts";
import { waveIndex } from "./waves.ts";

/** What deployments are reconciled with. */
export interface DeploymentReconcilerOptions {
  readonly stores: Stores;
  readonly book: CapacityBook;
  readonly registry: NodeRegistry;
  readonly models: ModelRegistry;
  readonly assignments: AssignmentWriter;
  readonly routes: RouteWriter;
  readonly judges: RolloutJudges;
  /** What nodes decided while they were cut off, by deployment. */
  readonly decisions: Inbox<LocalDecision>;
  /** What is wrong with the revision that was promoted. */
  readonly blame: (deployment: Deployment) => Incident | undefined;
  readonly scheduling: Pick<Scheduling, "makeRoom" | "takeRoom">;
  readonly misfits: EvacuationContext["misfits"];
  readonly events: EventRecorder;
  /** Called once a rollout's end is stored. */
  readonly onRolloutEnd: (rollout: Rollout) => void;
  readonly clock: Clock;
}

/** What nodes report, of their replicas and of what they decided alone. */
type SeenWorld = ReplicaWorld & Pick<RolloutObservation, "localDecisions">;

const TICK_MS = 250;
const RESYNC_MS = 5_000;
/** As letters and digits twice as many, the most that a route takes. */
const SALT_BYTES = 16;
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
    const { stores, clock, routes, events, decisions } = this.#options;
    const stored = stores.deployments.get(name);
    if (stored === undefined) return this.#cleanUp(name);
    if (stored.value.deleting) return this.#delete(name, stored.revision);
    const draft = clone(DeploymentSchema, stored.value);
    const now = clock.now();
    endAvoidance(draft, now);
    const ended = endMoves(draft, now, this.#options);
    beginEvacuation(draft, now, this.#options);
    const world = observeReplicas(draft, this.#options);
    const localDecisions = decisions.peek(name);
    const { deployment, checkAfterMs = RESYNC_MS } = this.#step(draft, { ...world, localDecisions }, now);
    const plans = this.#plan(deployment, now);
    noteLostNodes(deployment, plans, this.#options);
    try {
      if (!equals(DeploymentSchema, deployment, stored.value)) {
        await stores.deployments.update(name, deployment, stored.revision);
        recordRolloutEvents(events, stored.value, deployment);
        recordMoves(events, name, ended);
        recordEvacuations(events, stored.value, deployment);
        for (const rollout of endedRollouts(stored.value, deployment)) this.#options.onRolloutEnd(rollout);
      }
      decisions.settle(name, localDecisions.length);
      const { rollout } = deployment;
      if (rollout !== undefined) {
        const nodes = new Set([...this.#options.assignments.replicas(name)].map(({ nodeId }) => nodeId)).size;
        await routes.put(name, deploymentRoute(deployment, rollout, { ...world, nodes }));
      }
      await this.#assign(name, plans);
    } catch (error) {
      this.#giveBack(plans);
      throw error;
    }
    await this.#tagPromoted(deployment);
    const isMakingRoom = deployment.pending?.heldBack !== undefined;
    const isBusy = hasActiveRollout(deployment) || deployment.moves.length > 0 || isMakingRoom;
    return { requeueAfterMs: isBusy ? TICK_MS : Math.min(RESYNC_MS, checkAfterMs) };
  }

  #step(deployment: Deployment, world: SeenWorld, now: number): DeploymentStep {
    const { routes, judges, blame } = this.#options;
    const { name, rollout } = deployment;
    if (!hasActiveRollout(deployment)) judges.endTrial(name);
    const incident = blame(deployment);
    const inForce = routeInForce(name, routes.current(name), this.#options);
    const observation = {
      ...world,
      ...(rollout && judges.evidence(name, rollout)),
      ...(incident === undefined ? {} : { incident }),
      ...(inForce === undefined ? {} : { routeInForce: inForce }),
    };
    return stepDeployment({ deployment, now, observation, salt: Buffer.from(secureBytes(SALT_BYTES)).toString("hex") });
  }

  /** Plans for every revision that is to have replicas; says in the document why some are missing. */
  #plan(deployment: Deployment, now: number): Map<number, ReplicaPlan> {
    const plans = new Map<number, ReplicaPlan>();
    delete deployment.pending;
    for (const { revision: number, ...scale } of scalesOf(deployment, now)) {
      const revision = findRevision(deployment, number);
      if (revision === undefined) continue;
      const limit = { replicas: scale.replicas, isReached: this.#reached(deployment, scale.waves) };
      const plan = planReplicas(deployment, revision, this.#options, limit);
      plans.set(number, plan);
      if (plan.pending) deployment.pending = plan.pending;
    }
    const missing = [...plans.values()].flatMap((plan) => plan.missing ?? []);
    const nodeIds = this.#options.scheduling.makeRoom(deployment.name, missing, deployment.spec?.priority ?? 0);
    if (deployment.pending && nodeIds.length > 0) deployment.pending = explainMakingRoom(deployment.pending, nodeIds);
    return plans;
  }

  /** Gives back what a plan reserved and no assignment has: the next plan would count it as taken, and jobs end for it. */
  #giveBack(plans: ReadonlyMap<number, ReplicaPlan>): void {
    const nodeIds = new Set([...plans.values()].flatMap(({ byNode }) => [...byNode.keys()]));
    for (const nodeId of nodeIds) this.#options.book.syncAssignment(nodeId);
  }

  #reached({ rollout }: Deployment, waves: number | undefined): ((nodeId: string) => boolean) | undefined {
    const kind = rollout?.strategy?.kind;
    if (waves === undefined || kind?.case !== "canary") return undefined;
    const { book } = this.#options;
    return (nodeId) => waveIndex(kind.value.waves, book.node(nodeId)?.labels ?? {}) < waves;
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

  async #assign(name: string, plans: ReadonlyMap<number, ReplicaPlan>): Promise<void> {
    const { assignments } = this.#options;
    const byNode = new Map<string, ReplicaAssignment[]>();
    for (const { nodeId } of assignments.replicas(name)) byNode.set(nodeId, []);
    for (const plan of plans.values()) {
      for (const [nodeId, replicas] of plan.byNode) {
        byNode.set(nodeId, [...(byNode.get(nodeId) ?? []), ...replicas]);
      }
    }
    for (const [nodeId, replicas] of byNode) await assignments.setReplicas(nodeId, name, replicas);
  }

  async #cleanUp(name: string): Promise<undefined> {
    await this.#options.routes.remove(name);
    await this.#assign(name, new Map());
    this.#options.judges.forget(name);
    this.#options.decisions.settle(name, Number.POSITIVE_INFINITY);
    this.#options.scheduling.makeRoom(name, [], 0);
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

/** The replicas that there must be now. */
function scalesOf({ rollout, stableRevision }: Deployment, now: number): readonly RevisionScale[] {
  if (rollout !== undefined) return desiredScales(rollout, now);
  return stableRevision > 0 ? [{ revision: stableRevision }] : [];
}

/** The rollouts that ended between two states of a deployment. */
function endedRollouts(before: Deployment, after: Deployment): Rollout[] {
  const known = new Set(ended(before).map(({ id }) => id));
  return ended(after).filter(({ id }) => !known.has(id));
}

function ended({ history, rollout }: Deployment): Rollout[] {
  return rollout !== undefined && isRolloutEnded(rollout.state) ? [...history, rollout] : history;
}
