import { type Deployment, NodeState, ReplicaState, type Revision, type Route, type Strategy } from "@kedge/proto";
import { hasActiveRollout, type ReplicaCounts, type RolloutObservation, waitingRevision } from "@kedge/rollout";
import { type RevisionScope, revisionScope, type WorldContext } from "./replica-plan.ts";
import { waveIndex } from "./waves.ts";

/** Replicas as a step of a rollout sees them. */
export type ReplicaWorld = Pick<RolloutObservation, "replicas" | "waves">;

/** What live nodes report of a revision's replicas. */
interface Tally {
  readonly revision: number;
  readonly scope: RevisionScope;
  readonly byNode: ReadonlyMap<string, NodeTally>;
}

interface NodeTally {
  ready: number;
  failed: number;
  message: string | undefined;
}

/** Counts the replicas of every revision that a deployment's rollout may ask about. */
export function observeReplicas(deployment: Deployment, context: WorldContext): ReplicaWorld {
  const { rollout, stableRevision } = deployment;
  const numbers = [stableRevision, rollout?.fromRevision, rollout?.toRevision, waitingRevision(deployment)?.number];
  const revisions = deployment.revisions.filter(({ number }) => numbers.includes(number));
  const tallies = revisions.map((revision) => tallyOf(deployment, revision, context));
  const replicas = new Map(tallies.map((tally) => [tally.revision, countsOf(tally)]));
  const strategy = hasActiveRollout(deployment) ? rollout?.strategy : deployment.spec?.strategy;
  const waves = wavesOf(strategy);
  if (waves.length === 0) return { replicas };
  const newest = hasActiveRollout(deployment) ? rollout?.toRevision : waitingRevision(deployment)?.number;
  return { replicas, waves: waves.map((_, wave) => viewOf(wave)) };

  function viewOf(wave: number) {
    const isHere = (nodeId: string) => waveIndex(waves, context.book.node(nodeId)?.labels ?? {}) === wave;
    const perNode = deployment.spec?.scale.value ?? 1;
    const fresh = tallies.find((tally) => tally.revision === newest);
    const failedNodes = [...(fresh?.byNode ?? [])].filter(([id, { failed }]) => failed > 0 && isHere(id));
    return {
      nodes: fresh?.scope.nodes.filter(isHere).length ?? 0,
      failedNodes: failedNodes.map(([id]) => id),
      replicas: new Map(tallies.map((tally) => [tally.revision, countsOf(tally, { isHere, perNode })])),
    };
  }
}

function wavesOf(strategy: Strategy | undefined) {
  return strategy?.kind.case === "canary" ? strategy.kind.value.waves : [];
}

function tallyOf(deployment: Deployment, revision: Revision, context: WorldContext): Tally {
  const scope = revisionScope(deployment, revision, context);
  const left = new Map<string, string>(scope.staying.map(({ nodeId, replica }) => [replica.replicaId, nodeId]));
  const byNode = new Map<string, NodeTally>();
  for (const { nodeId, replica } of context.registry.replicas(deployment.name)) {
    // Each node speaks for its own replicas, once for each.
    if (left.get(replica.replicaId) !== nodeId) continue;
    left.delete(replica.replicaId);
    const here = byNode.get(nodeId) ?? { ready: 0, failed: 0, message: undefined };
    byNode.set(nodeId, here);
    if (replica.state === ReplicaState.READY) here.ready++;
    if (replica.state !== ReplicaState.FAILED) continue;
    here.failed++;
    here.message = `${replica.replicaId}: ${replica.message}`;
  }
  return { revision: revision.number, scope, byNode };
}

/** All of a revision's replicas, or those on some of the nodes. */
function countsOf(
  { scope, byNode }: Tally,
  part?: { readonly isHere: (nodeId: string) => boolean; readonly perNode: number },
): ReplicaCounts {
  const nodes = [...byNode].filter(([nodeId]) => part?.isHere(nodeId) ?? true).map(([, node]) => node);
  const message = nodes.find((node) => node.message !== undefined)?.message;
  return {
    desired: part === undefined ? scope.desired : scope.nodes.filter(part.isHere).length * part.perNode,
    ready: nodes.reduce((sum, { ready }) => sum + ready, 0),
    failed: nodes.reduce((sum, { failed }) => sum + failed, 0),
    ...(message === undefined ? {} : { message }),
  };
}

/**
 * The route that every live node with replicas of the deployment applies: the document, once each node has reported its
 * generation or a later one; undefined before.
 */
export function routeInForce(deployment: string, route: Route | undefined, context: WorldContext): Route | undefined {
  if (route === undefined) return undefined;
  const { registry, assignments } = context;
  const serving = new Set([...assignments.replicas(deployment)].map(({ nodeId }) => nodeId));
  for (const nodeId of serving) {
    if (registry.state(nodeId) !== NodeState.READY) continue;
    const applied = registry.latest(nodeId)?.routes.find((candidate) => candidate.deployment === deployment);
    if (applied === undefined || applied.generation < route.generation) return undefined;
  }
  return route;
}
