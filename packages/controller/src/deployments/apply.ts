import { clone, create, equals } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { assertName, isKedgeError, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import {
  type Deployment,
  DeploymentSchema,
  type DeploymentSpec,
  DeploymentSpecSchema,
  type ReplicaTemplate,
  ReplicaTemplateSchema,
  RevisionSchema,
  RevisionState,
} from "@kedge/proto";
import { addRevision, type HeldBackVersion, heldBackVersion, wantedRevision } from "@kedge/rollout";
import type { EventRecorder } from "../events/recorder.ts";
import type { ModelRegistry } from "../models/registry.ts";
import type { Stores } from "../stores.ts";
import { assertCarriedOut } from "./carried-out.ts";

/** Who asks for a change of a deployment. */
export interface Origin {
  readonly createdBy: string;
  readonly runId?: string;
  /** The attempt of a run's deploy job that asks, as `<run>/<job>/<attempt>`; asking again changes nothing. */
  readonly attempt?: string;
  readonly commit?: string;
  /** Make a new revision even if the template is in force already. */
  readonly force?: boolean;
}

/** What applying a spec led to. */
export interface Applied {
  readonly deployment: Deployment;
  readonly revision: number;
  readonly changed: boolean;
  /** Why the version is not rolled out although it is not in force. */
  readonly heldBack?: string;
}

const MAX_APPLIED = 50;
const MAX_RACES = 20;

/** Writes what users want of deployments; the reconciler makes it so. */
export class DeploymentWriter {
  readonly #stores: Stores;
  readonly #models: ModelRegistry;
  readonly #clock: Clock;
  readonly #events: EventRecorder;

  constructor(options: { stores: Stores; models: ModelRegistry; clock: Clock; events: EventRecorder }) {
    this.#stores = options.stores;
    this.#models = options.models;
    this.#clock = options.clock;
    this.#events = options.events;
  }

  /**
   * Makes a spec the wanted state. A changed template makes a new revision; the same template again changes nothing, and
   * one that was rolled back is held back: whoever applies again and again, as GitOps does, is nobody who asks for it. A
   * job of a run and `force` ask for it. Repeating the call for the same attempt of a job gives the first call's revision.
   *
   * @throws KedgeError INVALID_FIELD, MODEL_NOT_FOUND.
   */
  async apply(spec: DeploymentSpec, origin: Origin): Promise<Applied> {
    assertName("deployment", spec.name, "name");
    assertCarriedOut(spec);
    const template = this.#resolve(spec);
    const applied = await this.edit(spec.name, (deployment) => this.#applyTo(deployment, spec, template, origin));
    const heldBack = asksAgain(origin) ? undefined : heldBackVersion(applied.deployment, template.template);
    if (heldBack !== undefined) return { ...applied, heldBack: heldBackText(spec.name, heldBack) };
    if (applied.changed) {
      this.#events.record({
        kind: "deployment",
        name: spec.name,
        reason: "Applied",
        message: `revision ${applied.revision} wanted by ${origin.createdBy}`,
      });
    }
    return applied;
  }

  /**
   * Changes a deployment with compare-and-set, repeating the edit when somebody else was faster. The edit works on a
   * copy; when it changes nothing, nothing is written.
   *
   * @throws KedgeError CONFLICT when others were faster again and again; whatever the edit throws.
   */
  async edit(name: string, edit: (deployment: Deployment, nowMs: number) => number): Promise<Applied> {
    for (let attempt = 1; ; attempt++) {
      const stored = this.#stores.deployments.get(name);
      const next = stored
        ? clone(DeploymentSchema, stored.value)
        : create(DeploymentSchema, { name, createdAt: this.#now() });
      const revision = edit(next, this.#clock.now());
      if (stored && equals(DeploymentSchema, next, stored.value)) return { deployment: next, revision, changed: false };
      next.generation += 1n;
      try {
        if (stored) await this.#stores.deployments.update(name, next, stored.revision);
        else await this.#stores.deployments.create(name, next);
        return { deployment: next, revision, changed: true };
      } catch (error) {
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
      }
    }
  }

  #applyTo(deployment: Deployment, spec: DeploymentSpec, template: ResolvedTemplate, origin: Origin): number {
    const { attempt } = origin;
    const before = attempt === undefined ? undefined : deployment.applied[attempt];
    if (before !== undefined) return before;
    if (deployment.deleting) {
      throw new KedgeError("CONFLICT", `deployment ${spec.name} is being deleted`, { field: "name" });
    }
    deployment.spec = clone(DeploymentSpecSchema, spec);
    deployment.spec.template = template.template;
    const revision = this.#revisionFor(deployment, template, origin);
    if (attempt !== undefined) remember(deployment, attempt, revision);
    return revision;
  }

  #revisionFor(deployment: Deployment, { template, digest }: ResolvedTemplate, origin: Origin): number {
    const newest = deployment.revisions.at(-1);
    const wanted = wantedRevision(deployment);
    if (wanted?.template && equals(ReplicaTemplateSchema, wanted.template, template) && !origin.force)
      return wanted.number;
    const heldBack = asksAgain(origin) ? undefined : heldBackVersion(deployment, template);
    if (heldBack !== undefined) return heldBack.revision;
    const revision = create(RevisionSchema, {
      number: (newest?.number ?? 0) + 1,
      template,
      state: RevisionState.CANDIDATE,
      createdAt: this.#now(),
      runId: origin.runId ?? "",
      commit: origin.commit ?? "",
      manifestDigest: digest,
      createdBy: origin.createdBy,
    });
    addRevision(deployment, revision);
    return revision.number;
  }

  #resolve(spec: DeploymentSpec): ResolvedTemplate {
    if (spec.template === undefined)
      throw new KedgeError("INVALID_FIELD", "template is missing", { field: "template" });
    if (spec.scale.value === 0)
      throw new KedgeError("INVALID_FIELD", "replicas must be at least 1", { field: "replicas" });
    const template = clone(ReplicaTemplateSchema, spec.template);
    const source = template.source;
    switch (source.case) {
      case "model": {
        const { version } = this.#models.find(source.value.model, source.value.version, "template.model");
        source.value.version = String(version.version);
        return { template, digest: version.digest };
      }
      case "image":
        if (template.port === 0 || template.port > 65_535) {
          throw new KedgeError("INVALID_FIELD", "an image needs the port it listens on", { field: "template.port" });
        }
        return { template, digest: "" };
      case undefined:
        throw new KedgeError("INVALID_FIELD", "template has neither model nor image", { field: "template" });
      default:
        return source satisfies never;
    }
  }

  #now(): Timestamp {
    return timestampFromMs(this.#clock.now());
  }
}

interface ResolvedTemplate {
  readonly template: ReplicaTemplate;
  readonly digest: string;
}

/** Tells whether applying a version that was rolled back asks for it again. */
function asksAgain({ force, attempt }: Origin): boolean {
  return (force ?? false) || attempt !== undefined;
}

function heldBackText(name: string, { revision, reason }: HeldBackVersion): string {
  const ways = `kedge rollout retry ${name}, or kedge apply --force-revision`;
  return `revision ${revision} is this version and was taken back: ${reason}. It is rolled out again only when asked for: ${ways}`;
}

function remember(deployment: Deployment, key: string, revision: number): void {
  const entries = Object.entries(deployment.applied).slice(-(MAX_APPLIED - 1));
  deployment.applied = Object.fromEntries([...entries, [key, revision]]);
}
