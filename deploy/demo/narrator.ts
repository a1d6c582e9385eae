import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { KedgeClient } from "@kedge/client";
import { isJobEnded } from "@kedge/domain";
import { type Event, EventSeverity, type Job, JobState, type Run } from "@kedge/proto";
import type { Timeline } from "./timeline.ts";

/** Kinds whose events are told; runs and jobs are told from the runs themselves, with their steps. */
const TOLD = new Set(["model", "deployment", "rollout"]);

/** Tells every event of the system as it comes, until the signal aborts. */
export async function tellEvents(client: KedgeClient, timeline: Timeline, signal: AbortSignal): Promise<void> {
  try {
    for await (const { event } of client.events.watchEvents({ history: 0 }, { signal })) {
      if (event !== undefined && (TOLD.has(event.kind) || event.reason === "Lost")) tellEvent(event, timeline);
    }
  } catch (error) {
    if (!signal.aborted) timeline.say("demo", `events are no longer told: ${error}`, "bad");
  }
}

function tellEvent({ kind, name, reason, message, severity, fields }: Event, timeline: Timeline): void {
  const weight = reason === "Progressing" ? ` (${fields["weight"]} %)` : "";
  const tone = severity === EventSeverity.WARNING ? "bad" : reason === "Promoted" ? "good" : "info";
  timeline.say(kind, `${name} ${reason}${weight}: ${message}`, tone);
}

/** Tells the changes between states of one run: jobs that start and end, steps that end. */
export class RunNarrator {
  readonly #timeline: Timeline;
  readonly #jobs = new Map<string, JobState>();
  readonly #steps = new Set<string>();

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  tell(run: Run): void {
    for (const job of run.jobs) {
      for (const step of job.steps) this.#tellStep(job, step);
      this.#tellJob(job);
    }
  }

  #tellStep(job: Job, step: Job["steps"][number]): void {
    const key = `${job.spec?.name}/${step.name}`;
    if (!isJobEnded(step.state) || this.#steps.has(key)) return;
    this.#steps.add(key);
    const failed = step.state !== JobState.SUCCEEDED;
    const took = duration(step.startedAt, step.finishedAt);
    this.#timeline.say(
      "step",
      `${key} ${failed ? `failed: ${step.message}` : "done"}${took}`,
      failed ? "bad" : "progress",
    );
  }

  #tellJob(job: Job): void {
    const name = job.spec?.name ?? "";
    if (this.#jobs.get(name) === job.state) return;
    this.#jobs.set(name, job.state);
    const node = job.tasks.at(-1)?.nodeId;
    if (job.state === JobState.RUNNING) {
      this.#timeline.say("job", `${name} started${node === undefined ? " (by the controller)" : ` on ${node}`}`);
    } else if (job.state === JobState.SUCCEEDED) {
      this.#timeline.say("job", `${name} succeeded${duration(job.startedAt, job.finishedAt)}${findings(job)}`, "good");
    } else if (job.state === JobState.PENDING && job.pending !== undefined) {
      this.#timeline.say("job", `${name} waits: ${job.pending.summary}`);
    } else if (job.state === JobState.FAILED || job.state === JobState.CANCELLED) {
      this.#timeline.say("job", `${name} failed: ${job.failure?.message || job.reason}`, "bad");
    }
  }
}

function findings(job: Job): string {
  const metrics = Object.entries(job.metrics).map(([name, value]) => `${name} ${value}`);
  const rules = job.gateResults.map(({ message, rule }) => message || `${rule?.metric} passed`);
  const text = [...metrics, ...rules].join(", ");
  return text === "" ? "" : `: ${text}`;
}

function duration(from: Timestamp | undefined, to: Timestamp | undefined): string {
  if (from === undefined || to === undefined) return "";
  return ` (${((timestampMs(to) - timestampMs(from)) / 1000).toFixed(1)} s)`;
}
