import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { type TaskFinished, TaskFinishedSchema, type TaskOffer, TaskOfferSchema, type TaskRefFull } from "@kedge/proto";
import type { KnownCache } from "../files/known-cache.ts";
import { readFileIfPresent, writeFileAtomicSync } from "../state/atomic-file.ts";
import type { FailureKind } from "../steps/step-failure.ts";
import type { JobStatus } from "./job-plan.ts";
import { removeWorkspace } from "./workspace.ts";

/** What made a job fail, as its record keeps it. */
export interface RecordedFailure {
  readonly kind: FailureKind;
  readonly message: string;
  readonly exitCode: number;
  /** Name of the step; empty: it was none of them. */
  readonly step: string;
}

/** How far a task got, as far as the disk knows. */
export interface TaskProgress {
  /** `claiming`: the claim may or may not be stored; `running`; `finished`: only the report is missing. */
  phase: "claiming" | "running" | "finished";
  /** Boot of the agent that claimed it; repeating a claim under the same id answers as the first time. */
  bootId: string;
  /** Index of the first step that is not known to have ended. */
  step: number;
  /** Wall times, milliseconds since 1970; time-outs are counted from them. */
  startedAtMs: number;
  stepStartedAtMs: number;
  outputs: Record<string, string>;
  metrics: Record<string, number>;
  /** What the steps need is there: the services were ready once. */
  isPrepared?: boolean;
  /** Caches of the job, in their order, once they and the inputs are in the workspace. */
  caches?: readonly KnownCache[];
  /** What was stored of the job's artifacts, each as JSON, once they and its caches are. */
  artifacts?: readonly JsonValue[];
  /** The first thing that went wrong; undefined: nothing did so far. */
  failure?: RecordedFailure;
  /** What the job's steps came to and when its post steps began; undefined: they have not. */
  cleanup?: { readonly status: JobStatus; readonly sinceMs: number };
  finished?: TaskFinished;
}

/** Who claims a task, and when. */
export interface TaskClaim {
  readonly ref: TaskRefFull;
  readonly bootId: string;
  /** Wall time, milliseconds since 1970. */
  readonly nowMs: number;
}

interface StoredProgress extends Omit<TaskProgress, "finished"> {
  offer: string;
  finished?: string;
}

const SAFE_ID = /^[a-z0-9][a-z0-9-]{0,150}$/;

/** Tells whether a task id can stand in a path and in a workload's name. */
export function isTaskId(id: string): boolean {
  return SAFE_ID.test(id);
}

/** What the agent must remember of one task to go on with it after a crash: a folder with the offer and the progress. */
export class TaskRecord {
  readonly directory: string;
  readonly offer: TaskOffer;
  readonly ref: TaskRefFull;
  readonly progress: TaskProgress;

  private constructor(directory: string, offer: TaskOffer, ref: TaskRefFull, progress: TaskProgress) {
    this.directory = directory;
    this.offer = offer;
    this.ref = ref;
    this.progress = progress;
  }

  /** The record of a task that is about to be claimed; nothing is written yet. */
  static make(tasksDir: string, offer: TaskOffer, claim: TaskClaim): TaskRecord {
    const { ref, bootId, nowMs } = claim;
    const progress: TaskProgress = {
      phase: "claiming",
      bootId,
      step: 0,
      startedAtMs: nowMs,
      stepStartedAtMs: nowMs,
      outputs: {},
      metrics: {},
    };
    return new TaskRecord(join(tasksDir, ref.taskId), offer, ref, progress);
  }

  /** All records in a folder. Folders that hold none, because writing one was cut short, are removed. */
  static async loadAll(tasksDir: string): Promise<TaskRecord[]> {
    const names = await readdir(tasksDir).catch(() => []); // No folder: no tasks.
    const records = await Promise.all(names.map((name) => loadOrRemove(join(tasksDir, name), TaskRecord.#load)));
    return records.filter((record) => record !== undefined);
  }

  static async #load(directory: string): Promise<TaskRecord | undefined> {
    const bytes = await readFileIfPresent(join(directory, "state.json"));
    if (bytes === undefined) return undefined;
    // Written by this program, into a folder that only it may write.
    const { offer: offerText, finished, ...rest }: StoredProgress = JSON.parse(bytes.toString("utf8"));
    const offer = fromBinary(TaskOfferSchema, Buffer.from(offerText, "base64"));
    if (offer.ref === undefined || !isTaskId(offer.ref.taskId)) return undefined;
    const ended =
      finished === undefined ? {} : { finished: fromBinary(TaskFinishedSchema, Buffer.from(finished, "base64")) };
    return new TaskRecord(directory, offer, offer.ref, { ...rest, ...ended });
  }

  get workspace(): string {
    return join(this.directory, "workspace");
  }

  get logJournal(): string {
    return join(this.directory, "log");
  }

  /** Writes the record down; its folder must exist. */
  save(): void {
    const { finished, ...rest } = this.progress;
    const stored: StoredProgress = {
      ...rest,
      offer: Buffer.from(toBinary(TaskOfferSchema, this.offer)).toString("base64"),
      ...(finished === undefined
        ? {}
        : { finished: Buffer.from(toBinary(TaskFinishedSchema, finished)).toString("base64") }),
    };
    writeFileAtomicSync(join(this.directory, "state.json"), JSON.stringify(stored));
  }
}

async function loadOrRemove<T>(
  directory: string,
  load: (directory: string) => Promise<T | undefined>,
): Promise<T | undefined> {
  const record = await load(directory).catch(() => undefined); // Unreadable is as good as not there.
  // Files that a task of another time could not remove, its log told; they keep no agent from starting.
  if (record === undefined) await removeWorkspace(directory).catch(() => false);
  return record;
}
