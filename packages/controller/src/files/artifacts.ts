import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError, KedgeError, nearNames } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type Artifact, ArtifactSchema, type Run, type StoredArtifact, StoredArtifactSchema } from "@kedge/proto";
import { currentTask } from "../runs/task-events.ts";
import type { Stores } from "../stores.ts";
import type { TaskJob } from "./task-job.ts";
import type { UploadedTree } from "./tree-upload.ts";

const DEFAULT_EXPIRY_S = 30 * 24 * 3600;
const MAX_PER_PASS = 500;

/** What artifacts are kept with. */
export interface ArtifactsOptions {
  readonly stores: Stores;
  readonly clock: Clock;
}

/** Names one artifact. */
export interface ArtifactName {
  readonly runId: string;
  readonly job: string;
  readonly name: string;
}

/** Artifacts as documents; their content is in the chunk store. */
export class Artifacts {
  readonly #stores: Stores;
  readonly #clock: Clock;

  constructor({ stores, clock }: ArtifactsOptions) {
    this.#stores = stores;
    this.#clock = clock;
  }

  /**
   * Stores what the job's newest attempt left. The same again changes nothing.
   *
   * @throws KedgeError INVALID_FIELD for a name that the job does not declare, ARTIFACT_EXISTS for other content, CONFLICT.
   */
  async put({ run, spec, task }: TaskJob, name: string, tree: UploadedTree): Promise<Artifact> {
    const declared = spec.artifacts.find((it) => it.name === name);
    if (declared === undefined) throw undeclared(spec.name, name);
    const key = keyOf({ runId: run.id, job: spec.name, name });
    const before = this.#stores.artifacts.get(key);
    if (before?.value.taskId === task.id) return same(before.value, tree.digest);
    const nowMs = this.#clock.now();
    const artifact = create(ArtifactSchema, {
      ...{ name, digest: tree.digest, bytes: tree.root.bytes, files: tree.root.files },
      createdAt: timestampFromMs(nowMs),
      expiresAt: timestampFromMs(nowMs + (declared.expireSeconds || DEFAULT_EXPIRY_S) * 1000),
    });
    const owner = { runId: run.id, job: spec.name, taskId: task.id, fence: task.fence };
    const document = create(StoredArtifactSchema, { artifact, ...owner });
    if (before === undefined) await this.#stores.artifacts.create(key, document);
    else await this.#stores.artifacts.update(key, document, before.revision);
    return artifact;
  }

  /** @throws KedgeError ARTIFACT_NOT_FOUND, with near names. */
  find(wanted: ArtifactName): Artifact {
    const found = this.#stores.artifacts.get(keyOf(wanted))?.value.artifact;
    if (found !== undefined && !this.#isExpired(found)) return found;
    const { runId, job, name } = wanted;
    const there = this.list(runId, job).map(({ artifact }) => artifact?.name ?? "");
    const near = nearNames(name, there);
    const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : `it left ${there.join(", ") || "nothing"}`;
    throw new KedgeError("ARTIFACT_NOT_FOUND", `job ${job} of run ${runId} has no artifact ${JSON.stringify(name)}`, {
      field: "name",
      hint: found === undefined ? hint : "it has expired",
    });
  }

  /** What a run, or one job of it, left, by job and name. */
  list(runId: string, job = ""): StoredArtifact[] {
    const prefix = job === "" ? `${runId}.` : `${runId}.${job}.`;
    return [...this.#stores.artifacts.entries()]
      .filter(([key, { value }]) => key.startsWith(prefix) && !this.#isExpired(value.artifact))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { value }]) => value);
  }

  /** @throws KedgeError ARTIFACT_NOT_FOUND. */
  async delete(wanted: ArtifactName): Promise<void> {
    this.find(wanted);
    await this.#stores.artifacts.delete(keyOf(wanted));
  }

  /**
   * Writes into a run, in place, what the newest attempts of its ended tasks left: by what was stored, not by what an
   * agent says.
   */
  observe(run: Run): void {
    for (const job of run.jobs) {
      const names = job.spec?.artifacts ?? [];
      const task = currentTask(job);
      if (names.length === 0 || task?.finishedAt === undefined) continue;
      const stored = names.map(({ name }) =>
        this.#stores.artifacts.get(keyOf({ ...ownerOf(run, job.spec?.name), name })),
      );
      job.artifacts = stored.flatMap((it) =>
        it?.value.taskId === task.id && it.value.artifact !== undefined ? [it.value.artifact] : [],
      );
    }
  }

  /** Forgets what has expired, a bounded number at a time. */
  async collectExpired(): Promise<void> {
    const expired = [...this.#stores.artifacts.entries()].filter(([, { value }]) => this.#isExpired(value.artifact));
    for (const [key, { revision }] of expired.slice(0, MAX_PER_PASS)) {
      await this.#stores.artifacts.delete(key, revision).catch((error: unknown) => {
        // A later attempt has just put it anew.
        if (!isKedgeError(error, "CONFLICT")) throw error;
      });
    }
  }

  #isExpired(artifact: Artifact | undefined): boolean {
    return artifact?.expiresAt !== undefined && timestampMs(artifact.expiresAt) <= this.#clock.now();
  }
}

function ownerOf(run: Run, job = ""): { readonly runId: string; readonly job: string } {
  return { runId: run.id, job };
}

function keyOf({ runId, job, name }: ArtifactName): string {
  return `${runId}.${job}.${name}`;
}

function same({ artifact }: StoredArtifact, digest: string): Artifact {
  if (artifact?.digest === digest) return artifact;
  throw new KedgeError("ARTIFACT_EXISTS", `this attempt has put ${artifact?.name} with other content`, {
    field: "name",
  });
}

function undeclared(job: string, name: string): KedgeError {
  const message = `job ${job} declares no artifact ${JSON.stringify(name.slice(0, 80))}`;
  return new KedgeError("INVALID_FIELD", message, { field: "header.name" });
}
