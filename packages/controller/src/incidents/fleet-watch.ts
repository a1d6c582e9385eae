import type { Clock } from "@kedge/kernel";
import type { Deployment, Heartbeat, Window } from "@kedge/proto";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Stores } from "../stores.ts";
import { burnFinding, deploymentFinding, nodeFinding } from "./alarm-findings.ts";
import { DeploymentWatch } from "./deployment-watch.ts";
import type { Finding } from "./finding.ts";
import { NodeWatch } from "./node-watch.ts";
import { ReplicaWatch } from "./replica-watch.ts";

/** What the fleet is watched with. */
export interface FleetWatchOptions {
  readonly stores: Stores;
  readonly registry: Pick<NodeRegistry, "latest">;
  readonly clock: Clock;
  /** Called with everything that is found wrong; often again while it goes on. */
  readonly onFinding: (finding: Finding) => void;
}

/**
 * Watches every deployment and every node, by their windows and heartbeats. Everything is in memory and of constant size
 * for each: what is normal is learnt anew after a restart, within about twenty steps, and trusted after a hundred.
 */
export class FleetWatch {
  readonly replicas = new ReplicaWatch();
  readonly #options: FleetWatchOptions;
  readonly #deployments = new Map<string, DeploymentWatch>();
  readonly #nodes = new Map<string, NodeWatch>();

  constructor(options: FleetWatchOptions) {
    this.#options = options;
  }

  deployment(name: string): DeploymentWatch | undefined {
    return this.#deployments.get(name);
  }

  node(nodeId: string): NodeWatch | undefined {
    return this.#nodes.get(nodeId);
  }

  /** Takes a window of a gateway that serves the deployment, once. */
  window(deployment: Deployment, window: Window): void {
    if (deployment.stableRevision === 0) return;
    const { clock, onFinding } = this.#options;
    const nowMs = clock.now();
    const { name, stableRevision } = deployment;
    const watch = this.#deployments.get(name) ?? new DeploymentWatch(name, stableRevision, nowMs);
    this.#deployments.set(name, watch);
    watch.follow(stableRevision, nowMs);
    if (watch.isDue(nowMs)) this.#close(name, watch, nowMs);
    watch.add(deployment, window, nowMs);
    const burning = burnFinding(name, watch);
    if (burning !== undefined) onFinding(burning);
  }

  /** Takes a node's newest heartbeat, beside the one before it. */
  beat(nodeId: string, previous: Heartbeat | undefined): void {
    const { registry, stores, clock, onFinding } = this.#options;
    const heartbeat = registry.latest(nodeId);
    if (heartbeat === undefined) return;
    const nowMs = clock.now();
    const watch = this.#nodes.get(nodeId) ?? new NodeWatch(nowMs);
    this.#nodes.set(nodeId, watch);
    if (watch.isDue(nowMs)) {
      for (const alarm of watch.close(nowMs)) {
        const finding = nodeFinding(nodeId, alarm, this.#deployments.get(alarm.deployment ?? ""));
        if (finding !== undefined) onFinding(finding);
      }
    }
    watch.beat(heartbeat, nowMs);
    const assignment = stores.assignments.get(nodeId)?.value;
    const { restarts, findings } = this.replicas.beat(heartbeat, previous, { assignment, nowMs });
    watch.restarted(restarts);
    for (const finding of findings) onFinding(finding);
  }

  /** Ends the steps of deployments that send nothing any more, and forgets what is gone. */
  tick(): void {
    const { stores, clock } = this.#options;
    const nowMs = clock.now();
    for (const [name, watch] of this.#deployments) {
      if (stores.deployments.get(name) === undefined) this.#deployments.delete(name);
      else if (watch.isDue(nowMs)) this.#close(name, watch, nowMs);
    }
    for (const nodeId of this.#nodes.keys()) {
      if (stores.nodes.get(nodeId) === undefined) this.#nodes.delete(nodeId);
    }
    this.replicas.forgetOld(nowMs);
  }

  /** Forgets all, as a new term does. */
  restart(): void {
    this.#deployments.clear();
    this.#nodes.clear();
  }

  #close(name: string, watch: DeploymentWatch, nowMs: number): void {
    const { alarms, shares } = watch.close(nowMs);
    for (const [nodeId, share] of shares) this.#nodes.get(nodeId)?.share(share);
    for (const alarm of alarms) this.#options.onFinding(deploymentFinding(name, watch.revision, alarm));
  }
}
