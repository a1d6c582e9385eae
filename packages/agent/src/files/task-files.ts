import { toJson } from "@bufbuild/protobuf";
import { ArtifactSchema } from "@kedge/proto";
import type { JobStatus } from "../tasks/job-plan.ts";
import type { LogPublisher } from "../tasks/log-publisher.ts";
import type { TaskRecord } from "../tasks/task-record.ts";
import type { FileStore } from "./file-store.ts";

/** What a task's files are moved with. */
export interface TaskFilesOptions {
  readonly record: TaskRecord;
  readonly store: FileStore;
  readonly log: Pick<LogPublisher, "note" | "masked">;
}

/** The same, while something is being moved. */
export interface FilesContext extends TaskFilesOptions {
  readonly signal: AbortSignal;
}

const MAX_NAMED = 3;

/** The files that a task begins with and those it leaves. How far it got is in the task's record. */
export class TaskFiles {
  readonly #options: TaskFilesOptions;

  constructor(options: TaskFilesOptions) {
    this.#options = options;
  }

  /**
   * Puts inputs and caches into the workspace, once.
   *
   * @returns whether there was anything to do.
   * @throws StepFailure for an input that cannot be had.
   */
  async fetch(signal: AbortSignal): Promise<boolean> {
    const { record } = this.#options;
    const { offer, progress } = record;
    if (progress.caches !== undefined) return false;
    if (offer.inputs.length === 0 && (offer.job?.caches.length ?? 0) === 0) return false;
    const context = { ...this.#options, signal };
    // Loaded on demand: most jobs move no files.
    const [{ restoreCaches }, { unpackInputs }] = await Promise.all([
      import("./task-caches.ts"),
      import("./task-inputs.ts"),
    ]);
    const caches = await restoreCaches(context);
    await unpackInputs(context);
    Object.assign(progress, { phase: "running", caches });
    record.save();
    return true;
  }

  /** Stores what the steps left, once; what goes wrong with it, and what reports say, is in the record. */
  async keep(status: JobStatus, signal: AbortSignal): Promise<void> {
    const { record, log } = this.#options;
    const { offer, progress } = record;
    const { artifacts = [], caches = [] } = offer.job ?? {};
    if (progress.artifacts !== undefined || artifacts.length + caches.length === 0) return;
    const context = { ...this.#options, signal };
    const [{ keepArtifacts }, { saveCaches }] = await Promise.all([
      import("./task-artifacts.ts"),
      import("./task-caches.ts"),
    ]);
    const kept = await keepArtifacts(context, status);
    if (status === "success" && kept.failure === undefined) await saveCaches(context, progress.caches ?? []);
    Object.assign(progress.metrics, kept.metrics);
    const { failure, troubles } = kept;
    if (failure !== undefined) {
      const { kind, message, exitCode } = failure;
      progress.failure ??= { kind, message: log.masked(message), exitCode, step: "" };
    }
    if (progress.failure !== undefined && status === "failure" && troubles.length > 0) {
      const named = troubles.slice(0, MAX_NAMED).join("; ");
      progress.failure = { ...progress.failure, message: `${progress.failure.message}: ${log.masked(named)}` };
    }
    Object.assign(progress, { phase: "running", artifacts: kept.artifacts.map((it) => toJson(ArtifactSchema, it)) });
    record.save();
  }
}
