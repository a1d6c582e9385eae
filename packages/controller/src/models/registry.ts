import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { assertName, isKedgeError, KedgeError, nearNames } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type Model, ModelSchema, type ModelVersion, ModelVersionSchema, type PushModelHeader } from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import { signatureBreak } from "./onnx-signature.ts";
import type { StoredContent } from "./push.ts";

const MAX_RACES = 20;

/** What a push led to. */
export interface AddedVersion {
  readonly version: ModelVersion;
  /** The content was there already. */
  readonly existed: boolean;
}

/** Models and versions as documents; content is in the chunk store. */
export class ModelRegistry {
  readonly #stores: Stores;
  readonly #clock: Clock;
  readonly #events: EventRecorder;
  /** The newest push under way, by model. */
  readonly #pushing = new Map<string, Promise<void>>();

  constructor(stores: Stores, clock: Clock, events: EventRecorder) {
    this.#stores = stores;
    this.#clock = clock;
    this.#events = events;
  }

  /**
   * A model and one version of it, by number or tag; the newest when `version` is empty.
   *
   * @throws KedgeError MODEL_NOT_FOUND, with near names.
   */
  find(name: string, version: string, field = "model"): { model: Model; version: ModelVersion } {
    const model = this.#stores.models.get(name)?.value;
    if (model === undefined) {
      const near = nearNames(
        name,
        [...this.#stores.models.entries()].map(([key]) => key),
      );
      throw new KedgeError("MODEL_NOT_FOUND", `no model is called ${JSON.stringify(name)}`, {
        field,
        ...(near.length > 0 ? { hint: `did you mean ${near.join(" or ")}?` } : {}),
      });
    }
    const number = version === "" ? this.versions(name).at(-1)?.version : numberOf(model, version);
    const found = this.#stores.modelVersions.get(versionKey(name, number ?? 0));
    if (found !== undefined) return { model, version: found.value };
    const tags = Object.keys(model.tags);
    throw new KedgeError("MODEL_NOT_FOUND", `model ${name} has no version or tag ${JSON.stringify(version)}`, {
      field: `${field}.version`,
      hint: `versions go up to ${model.latestVersion}${tags.length > 0 ? `; tags: ${tags.join(", ")}` : ""}`,
    });
  }

  /** A metric of a version, for gates; undefined when there is no such model, version or metric. */
  metric(model: string, version: string, metric: string): number | undefined {
    const document = this.#stores.models.get(model)?.value;
    const number = document === undefined ? undefined : numberOf(document, version);
    const found = this.#stores.modelVersions.get(versionKey(model, number ?? 0))?.value;
    return found !== undefined && Object.hasOwn(found.metrics, metric) ? found.metrics[metric] : undefined;
  }

  /**
   * Makes content a new version. The same content as an existing version's gives that version back. Pushes to one
   * model wait for each other: two at once would write the same number.
   *
   * @throws KedgeError MODEL_SIGNATURE_CHANGED unless forced, INVALID_FIELD.
   */
  addVersion(header: PushModelHeader, content: StoredContent, createdBy: string): Promise<AddedVersion> {
    const before = this.#pushing.get(header.model) ?? Promise.resolve();
    const adding = before.then(() => this.#add(header, content, createdBy));
    const done = adding.then(
      () => {},
      // Told to whoever pushed it; those behind go on.
      () => {},
    );
    this.#pushing.set(header.model, done);
    void done.then(() => {
      if (this.#pushing.get(header.model) === done) this.#pushing.delete(header.model);
    });
    return adding;
  }

  async #add(header: PushModelHeader, content: StoredContent, createdBy: string): Promise<AddedVersion> {
    assertName("model", header.model, "header.model");
    for (const tag of header.tags) assertName("tag", tag, "header.tags");
    const existing = this.versions(header.model).find((version) => version.digest === content.digest);
    if (existing !== undefined) {
      for (const tag of header.tags) await this.tag(header.model, existing.version, tag);
      return { version: existing, existed: true };
    }
    const stored = this.#stores.models.get(header.model);
    if (stored !== undefined && !header.force) this.#assertCompatible(stored.value, content);
    const number = (stored?.value.latestVersion ?? 0) + 1;
    const version = create(ModelVersionSchema, {
      model: header.model,
      version: number,
      digest: content.digest,
      manifest: content.manifest,
      ...(header.lineage === undefined ? {} : { lineage: header.lineage }),
      metrics: header.metrics,
      labels: header.labels,
      createdAt: timestampFromMs(this.#clock.now()),
      createdBy,
      sizeBytes: content.sizeBytes,
    });
    // The version first: a crash in between leaves an unlisted version that the next push of its number overwrites.
    const key = versionKey(header.model, number);
    const orphan = this.#stores.modelVersions.get(key);
    if (orphan === undefined) await this.#stores.modelVersions.create(key, version);
    else await this.#stores.modelVersions.update(key, version, orphan.revision);
    await this.#list(header, number);
    this.#events.record({
      kind: "model",
      name: header.model,
      reason: "VersionPushed",
      message: `version ${number}, ${content.sizeBytes} bytes, ${content.newBytes} of them new`,
    });
    return { version, existed: false };
  }

  /** Makes a stored version part of its model. */
  async #list(header: PushModelHeader, number: number): Promise<void> {
    const list = (model: Model): void => {
      model.latestVersion = number;
      for (const tag of header.tags) model.tags[tag] = number;
    };
    if (this.#stores.models.get(header.model) !== undefined) {
      await this.#edit(header.model, list);
      return;
    }
    const model = create(ModelSchema, { name: header.model, createdAt: timestampFromMs(this.#clock.now()) });
    list(model);
    await this.#stores.models.create(header.model, model);
  }

  async #edit(name: string, change: (model: Model) => void): Promise<Model> {
    for (let attempt = 1; ; attempt++) {
      const stored = this.#stores.models.get(name);
      if (stored === undefined) throw new KedgeError("MODEL_NOT_FOUND", `no model is called ${JSON.stringify(name)}`);
      const next = clone(ModelSchema, stored.value);
      change(next);
      try {
        return (await this.#stores.models.update(name, next, stored.revision)).value;
      } catch (error) {
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
      }
    }
  }

  /** Listed versions of a model, oldest first. */
  versions(model: string): ModelVersion[] {
    const latest = this.#stores.models.get(model)?.value.latestVersion ?? 0;
    const versions: ModelVersion[] = [];
    for (let number = 1; number <= latest; number++) {
      const found = this.#stores.modelVersions.get(versionKey(model, number));
      if (found !== undefined) versions.push(found.value);
    }
    return versions;
  }

  /** Moves a tag. @throws KedgeError MODEL_NOT_FOUND. */
  async tag(name: string, version: number, tag: string): Promise<Model> {
    assertName("tag", tag, "tag");
    const { model } = this.find(name, String(version));
    if (model.tags[tag] === version) return model;
    return this.#edit(name, (draft) => {
      draft.tags[tag] = version;
    });
  }

  /** Forgets a version. @throws KedgeError MODEL_IN_USE, MODEL_NOT_FOUND. */
  async delete(name: string, version: number): Promise<void> {
    this.find(name, String(version));
    for (const [deployment, { value }] of this.#stores.deployments.entries()) {
      const uses = value.revisions.some(
        ({ template }) =>
          template?.source.case === "model" &&
          template.source.value.model === name &&
          template.source.value.version === String(version),
      );
      if (uses) {
        throw new KedgeError("MODEL_IN_USE", `deployment ${deployment} has a revision with ${name}:${version}`, {
          field: "version",
          hint: `delete the deployment first: kedge deployment delete ${deployment}`,
        });
      }
    }
    await this.#edit(name, (draft) => {
      for (const [tag, number] of Object.entries(draft.tags)) if (number === version) delete draft.tags[tag];
    });
    await this.#stores.modelVersions.delete(versionKey(name, version));
  }

  #assertCompatible(model: Model, content: StoredContent): void {
    const newest = this.versions(model.name).at(-1);
    const before = newest?.manifest?.signature;
    const after = content.manifest.signature;
    if (newest === undefined || before === undefined || after === undefined) return;
    const problem = signatureBreak(before, after);
    if (problem === undefined) return;
    throw new KedgeError("MODEL_SIGNATURE_CHANGED", `${model.name}: ${problem} (against version ${newest.version})`, {
      field: "file",
      hint: "push it as another model, or force it when every caller is ready for the change",
    });
  }
}

function numberOf(model: Model, version: string): number | undefined {
  if (/^[0-9]{1,9}$/.test(version)) return Number(version);
  return Object.hasOwn(model.tags, version) ? model.tags[version] : undefined;
}

/** KV key of a version. */
export function versionKey(model: string, version: number): string {
  return `${model}.${version}`;
}
