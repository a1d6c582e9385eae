import { clone, create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type AnalysisSpec,
  type Deployment,
  DeploymentSchema,
  ReplicaTemplateSchema,
  RevisionSchema,
  RevisionState,
  type Strategy,
  VerdictKind,
  VerdictSchema,
} from "@kedge/proto";
import { deploymentRoute } from "../deployment-route.ts";
import { desiredScales } from "../desired-scales.ts";
import { addRevision } from "../revisions.ts";
import { type DeploymentObservation, stepDeployment } from "../step-deployment.ts";
import type { Seeded } from "./seeded.ts";
import type { SimulatedFleet } from "./simulated-fleet.ts";

/** Called with what was stored before, what is stored now, and what it was decided on. */
export type OnStored = (before: Deployment, after: Deployment, observation: DeploymentObservation) => void;

/**
 * Drives a deployment as a controller does, from the stored bytes alone: every reconciliation may be the first of a new
 * process, may work on an old observation, and may be killed between any two of its writes.
 */
export class SimulatedController {
  now = 1_700_000_000_000;
  /** Everything goes right from here on. */
  isCalm = false;
  readonly #random: Seeded;
  readonly #fleet: SimulatedFleet;
  readonly #onStored: OnStored;
  readonly #seen: DeploymentObservation[] = [];
  #stored: Uint8Array;

  constructor(parts: {
    readonly random: Seeded;
    readonly fleet: SimulatedFleet;
    readonly strategy: Strategy;
    readonly analysis: AnalysisSpec;
    readonly onStored: OnStored;
  }) {
    this.#random = parts.random;
    this.#fleet = parts.fleet;
    this.#onStored = parts.onStored;
    const spec = { name: "d", strategy: parts.strategy, analysis: parts.analysis, template: {} };
    this.#stored = toBinary(DeploymentSchema, create(DeploymentSchema, { name: "d", spec }));
  }

  /** A copy of the stored document. */
  get deployment(): Deployment {
    return fromBinary(DeploymentSchema, this.#stored);
  }

  /** Somebody else's write: compare-and-set, so never lost and never in the middle of a reconciliation. */
  edit(change: (draft: Deployment) => void): void {
    const draft = this.deployment;
    change(draft);
    this.#stored = toBinary(DeploymentSchema, draft);
  }

  /** A new revision is wanted; its number. */
  apply(): number {
    const number = Math.max(0, ...this.deployment.revisions.map((revision) => revision.number)) + 1;
    this.edit((draft) => {
      const template = create(ReplicaTemplateSchema, { env: { V: String(number) } });
      if (draft.spec) draft.spec.template = clone(ReplicaTemplateSchema, template);
      addRevision(draft, create(RevisionSchema, { number, template, state: RevisionState.CANDIDATE }));
    });
    return number;
  }

  /** One reconciliation, or as much of it as happens before it is killed. */
  reconcile(): void {
    const before = this.deployment;
    const observation = this.#observe(before);
    const step = stepDeployment({ deployment: before, now: this.now, observation, salt: "s" });
    if (this.#isKilled()) return;
    if (step.changed) this.#stored = toBinary(DeploymentSchema, step.deployment);
    const after = this.deployment;
    this.#onStored(before, after, observation);
    if (this.#isKilled()) return;
    if (this.isCalm || this.#random.chance(0.7)) this.#fleet.acknowledge(observation.localDecisions ?? []);
    const { rollout } = after;
    if (rollout === undefined) return;
    const nodes = this.#fleet.nodes.length;
    this.#fleet.putRoute("d", deploymentRoute(after, rollout, { ...observation, nodes }));
    if (this.#isKilled()) return;
    this.#fleet.follow(desiredScales(rollout, this.now));
  }

  #isKilled(): boolean {
    return !this.isCalm && this.#random.chance(0.1);
  }

  /** The present, or something older that was delivered again or late. */
  #observe(deployment: Deployment): DeploymentObservation {
    const localDecisions = this.#fleet.deliver(this.isCalm);
    const fresh = { ...this.#fleet.observe(), ...this.#evidence(deployment), localDecisions };
    if (this.isCalm) return fresh;
    this.#seen.push(fresh);
    const at = this.#random.chance(0.15) ? this.#random.below(this.#seen.length) : this.#seen.length - 1;
    const { routeInForce, ...old } = this.#seen[at] ?? fresh;
    // An acknowledgement names the generation, so an old one is never taken for the newest route's.
    return fresh.routeInForce === undefined ? old : { ...old, routeInForce: fresh.routeInForce };
  }

  #evidence({ rollout }: Deployment): Partial<DeploymentObservation> {
    if (rollout === undefined) return {};
    const requests = (rollout.totalCanary?.requests ?? 0n) + BigInt(this.#random.below(300));
    const compared = (rollout.comparisons?.compared ?? 0n) + BigInt(this.#random.below(100));
    const arm = { requests, errors: 0n };
    const counts = { totals: { canary: arm, baseline: arm }, comparisons: { compared, differing: 0n } };
    return { rolloutId: rollout.id, ...counts, ...(this.isCalm ? {} : this.#trouble(rollout.toRevision)) };
  }

  #trouble(revision: number): Partial<DeploymentObservation> {
    const random = this.#random;
    const verdict = random.pick(VerdictKind.CONTINUE, VerdictKind.PASS, VerdictKind.ROLLBACK);
    return {
      ...(random.chance(0.05) ? { verdict: create(VerdictSchema, { kind: verdict, reason: "v" }) } : {}),
      ...(random.chance(0.05) ? { metricsMissing: "no value for 60 s" } : {}),
      ...(random.chance(0.05) ? { incident: { revision, reason: "anomaly" } } : {}),
    };
  }
}
