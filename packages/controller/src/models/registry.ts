import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { assertName, KedgeError, nearNames } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type Model, ModelSchema, type ModelVersion, ModelVersionSchema, type PushModelHeader } from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import { signatureBreak } from "./onnx-signature.ts";
import type { StoredContent } from "./push.ts";

/** Models and versions as documents; content is in the chunk store. */
export class ModelRegistry {
  readonly #stores: Stores;
  readonly #clock: Clock;
  readonly #events: EventRecorder;

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
    const number = /^[0-9]{1,9}$/.test(version) ? Number(version) : model.tags[version];
    const found = this.#stores.modelVersions.get(
      versionKey(name, version === "" ? model.latestVersion : (number ?? 0)),
    );
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
    const number = /^[0-9]{1,9}$/.test(version) ? Number(version) : document?.tags[version];
    const found = this.#stores.modelVersions.get(versionKey(model, number ?? 0))?.value;
    return found !== undefined && Object.hasOwn(found.metrics, metric) ? found.metrics[metric] : undefined;
  }

  /**
   * Makes content a new version. The same content as an existing version's gives that version back.
   *
   * @throws KedgeError MODEL_SIGNATURE_CHANGED unless forced; CONFLICT when somebody pushed at the same time.
   */
  async addVersion(
    header: PushModelHeader,
    content: StoredContent,
    createdBy: string,
  ): Promise<{ version: ModelVersion; existed: boolean }> {
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
    const next =
      stored === undefined
        ? create(ModelSchema, { name: header.model, createdAt: timestampFromMs(this.#clock.now()) })
        : clone(ModelSchema, stored.value);
    next.latestVersion = number;
    for (const tag of header.tags) next.tags[tag] = number;
    if (stored === undefined) await this.#stores.models.create(header.model, next);
    else await this.#stores.models.update(header.model, next, stored.revision);
    this.#events.record({
      kind: "model",
      name: header.model,
      reason: "VersionPushed",
      message: `version ${number}, ${content.sizeBytes} bytes, ${content.newBytes} of them new`,
    });
    return { version, existed: false };
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
    const next = clone(ModelSchema, model);
    next.tags[tag] = version;
    const revision = this.#stores.models.get(name)?.revision ?? 0;
    return (await this.#stores.models.update(name, next, revision)).value;
  }

  /** Forgets a version. @throws KedgeError MODEL_IN_USE, MODEL_NOT_FOUND. */
  async delete(name: string, version: number): Promise<void> {
    const { model } = this.find(name, String(version));
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
    const next = clone(ModelSchema, model);
    for (const [tag, number] of Object.entries(next.tags)) if (number === version) delete next.tags[tag];
    await this.#stores.models.update(name, next, this.#stores.models.get(name)?.revision ?? 0);
    await this.#stores.modelVersions.delete(versionKey(name, version));
  }

  #assertCompatible(model: Model, content: StoredContent): void {
    const before = this.#stores.modelVersions.get(versionKey(model.name, model.latestVersion))?.value.manifest
      ?.signature;
    const after = content.manifest.signature;
    if (before === undefined || after === undefined) return;
    const problem = signatureBreak(before, after);
    if (problem === undefined) return;
    throw new KedgeError(
      "MODEL_SIGNATURE_CHANGED",
      `${model.name}: ${problem} (against version ${model.latestVersion})`,
      {
        field: "file",
        hint: "push it as another model, or force it when every caller is ready for the change",
      },
    );
  }
}

/** KV key of a version. */
export function versionKey(model: string, version: number): string {
  return `${model}.${version}`;
}
