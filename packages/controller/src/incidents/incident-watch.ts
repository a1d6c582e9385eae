import type { Clock, ReconcileResult } from "@kedge/kernel";
import { type Deployment, type Heartbeat, NodeState, type Window } from "@kedge/proto";
import type { Incident as Blame } from "@kedge/rollout";
import type { EventRecorder } from "../events/recorder.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Stores } from "../stores.ts";
import { blamedFor, blameOf } from "./blame.ts";
import { conditionOf } from "./condition.ts";
import { gatherEvidence } from "./evidence.ts";
import type { Finding } from "./finding.ts";
import { FleetWatch } from "./fleet-watch.ts";
import { Incidents } from "./incidents.ts";
import { lostFinding, quarantineFinding } from "./node-findings.ts";
import { RecentChanges } from "./recent-changes.ts";
import { returnActions, rolloutFinding } from "./rollout-findings.ts";

/** What incidents are watched for with. */
export interface IncidentWatchOptions {
  readonly stores: Stores;
  readonly registry: NodeRegistry;
  readonly events: EventRecorder;
  readonly clock: Clock;
}

/** What was over for so long when a term begins is no news. */
const NEWS_MS = 3_600_000;

/** Finds what goes wrong, keeps it as incidents, and says what is to be laid at a promoted revision's door. */
export class IncidentWatch {
  readonly incidents: Incidents;
  readonly changes: RecentChanges;
  readonly #options: IncidentWatchOptions;
  readonly #watch: FleetWatch;
  /** Since when nodes are lost. */
  readonly #lostSince = new Map<string, number>();
  #stopChanges = (): void => {};

  constructor(options: IncidentWatchOptions) {
    const { stores, registry, clock } = options;
    this.#options = options;
    this.changes = new RecentChanges(stores);
    const watch = new FleetWatch({ stores, registry, clock, onFinding: (finding) => this.incidents.observe(finding) });
    const sources = { stores, registry, watch, changes: this.changes };
    this.#watch = watch;
    this.incidents = new Incidents({
      ...options,
      conditionOf: (incident, nowMs) => conditionOf(incident, sources, nowMs),
      evidenceOf: (incident) => gatherEvidence(incident, sources),
    });
  }

  /** Begins a term: forgets what another leader may know better. `add` queues a key for `reconcile`. */
  start(add: (key: string) => void): void {
    const { stores, clock } = this.#options;
    this.#watch.restart();
    this.#lostSince.clear();
    this.#stopChanges();
    this.#stopChanges = this.changes.follow(() => clock.now());
    this.incidents.start(add);
    for (const { key } of this.incidents.open()) add(key);
    for (const [name] of stores.deployments.entries()) this.deploymentChanged(name);
  }

  /** Ends the term. */
  stop(): void {
    this.#stopChanges();
    this.incidents.stop();
  }

  reconcile(key: string): Promise<ReconcileResult | undefined> {
    return this.incidents.reconcile(key);
  }

  /** Takes a window of a gateway that serves the deployment, once. */
  window(deployment: Deployment, window: Window): void {
    this.#watch.window(deployment, window);
  }

  /** Takes a node's newest heartbeat, beside the one before it. */
  beat(nodeId: string, previous: Heartbeat | undefined): void {
    this.#watch.beat(nodeId, previous);
  }

  /** Looks at a deployment's rollout: what is wrong with it, and what it does about an incident. */
  deploymentChanged(name: string): void {
    const { stores, clock } = this.#options;
    const deployment = stores.deployments.get(name)?.value;
    if (deployment === undefined) return;
    const finding = rolloutFinding(deployment);
    if (finding !== undefined && clock.now() - finding.beganAtMs < NEWS_MS) this.incidents.observe(finding);
    const actions = returnActions(deployment);
    if (actions.length === 0) return;
    const all = [...stores.incidents.entries()].map(([, { value }]) => value);
    const blamed = [...blamedFor(name, deployment.rollout?.fromRevision ?? 0, all)];
    for (const incident of blamed) {
      if (this.incidents.newest(incident.key)?.id === incident.id) this.incidents.act(incident.key, actions);
    }
  }

  /** What nobody tells: lost nodes, those set aside, deployments without windows, and what is over. To be called every second or so. */
  tick(): void {
    const { stores, registry } = this.#options;
    this.#watch.tick();
    for (const [nodeId, { value }] of stores.nodes.entries()) {
      const aside = quarantineFinding(value);
      if (aside !== undefined) this.incidents.observe(aside);
      if (registry.state(nodeId) === NodeState.LOST) this.incidents.observe(this.#lost(nodeId));
      else this.#lostSince.delete(nodeId);
    }
    for (const nodeId of this.#lostSince.keys()) {
      if (stores.nodes.get(nodeId) === undefined) this.#lostSince.delete(nodeId);
    }
    this.incidents.tick();
  }

  /** What is wrong with the revision that a deployment promoted; it is brought back while it is watched. */
  blame(deployment: Deployment): Blame | undefined {
    return blameOf(deployment, this.incidents.open());
  }

  #lost(nodeId: string): Finding {
    const { stores, clock } = this.#options;
    const beganAtMs = this.#lostSince.get(nodeId) ?? clock.now();
    this.#lostSince.set(nodeId, beganAtMs);
    return lostFinding(nodeId, stores.assignments.get(nodeId)?.value.replicas.length ?? 0, beganAtMs);
  }
}
