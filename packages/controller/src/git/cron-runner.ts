import { clone as cloneMessage, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { errorMessage } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import {
  type Repository,
  type RepositoryState,
  RepositoryStateSchema,
  type Schedule,
  SourceEvent,
  SourceSchema,
} from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import { type Ticks, ticksOf } from "./cron-ticks.ts";
import type { GitCache } from "./git-cache.ts";
import { loadPipelines } from "./load-pipelines.ts";
import { sinceMs } from "./pipeline-plan.ts";
import { defaultBranchOf, stateKey } from "./repository-defaults.ts";
import { type RunStarter, shortDigest } from "./run-starter.ts";

/** What schedules are kept with. */
export interface CronRunnerOptions {
  readonly stores: Pick<Stores, "repositoryStates" | "pipelines">;
  readonly cache: GitCache;
  readonly starter: RunStarter;
  readonly events: EventRecorder;
  readonly clock: Clock;
}

/** A repository that cannot be read is tried again this soon, until the tick is too old. */
const RETRY_MS = 30_000;

/** Starts the runs of schedules: one for a tick, whatever is killed in between. */
export class CronRunner {
  readonly #options: CronRunnerOptions;

  constructor(options: CronRunnerOptions) {
    this.#options = options;
  }

  /** Starts what is due; gives the time of the next tick, infinity if there is none. */
  async run(repository: Repository, signal: AbortSignal): Promise<number> {
    const { stores, clock } = this.#options;
    const key = stateKey(repository.name);
    let nextMs = Number.POSITIVE_INFINITY;
    for (let i = 0; ; i++) {
      const stored = stores.repositoryStates.get(key);
      const schedule = stored?.value.schedules[i];
      if (stored === undefined || schedule === undefined) return nextMs;
      const ticks = this.#ticks(schedule);
      const ran = ticks.due === undefined || (await this.#tick(repository, schedule, ticks.due, signal));
      nextMs = Math.min(nextMs, ran ? (ticks.next ?? Number.POSITIVE_INFINITY) : clock.now() + RETRY_MS);
      const after = ran ? advanced(stored.value, i, ticks) : undefined;
      if (after !== undefined) await stores.repositoryStates.update(key, after, stored.revision);
    }
  }

  /** One that makes no sense is never due; the plan says what is wrong with it. */
  #ticks(schedule: Schedule): Ticks {
    const { trigger, pipeline: name } = schedule;
    const times = { name, sinceMs: sinceMs(schedule), nowMs: this.#options.clock.now() };
    const ticks = trigger === undefined ? "" : ticksOf(trigger, times);
    return typeof ticks === "string" ? { due: undefined, next: undefined } : ticks;
  }

  /** Tells whether the tick is settled, for good or for bad. */
  async #tick(repository: Repository, schedule: Schedule, tickMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      const problem = await this.#start(repository, schedule, tickMs, signal);
      if (problem !== undefined) this.#warn(repository.name, `${schedule.pipeline} was due: ${problem}`);
      return true;
    } catch (error) {
      if (signal.aborted) throw error;
      this.#warn(repository.name, `${schedule.pipeline} is due and waits: ${errorMessage(error)}`);
      return false;
    }
  }

  #start(
    repository: Repository,
    { trigger, pipeline, file }: Schedule,
    tickMs: number,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { cache, stores, starter } = this.#options;
    const branch = trigger?.branch || defaultBranchOf(repository);
    return cache.use(repository, signal, async (clone) => {
      const commit = await clone.fetchBranch(branch);
      const { pipelines, broken } = await loadPipelines({ repository, commit, clone }, stores);
      const loaded = pipelines.find((each) => each.name === pipeline && each.file === file);
      if (loaded === undefined) return broken[0]?.problem ?? `branch ${branch} has no such pipeline`;
      const { message, author } = await clone.describe(commit);
      const source = create(SourceSchema, {
        repository: repository.url,
        repositoryName: repository.name,
        event: SourceEvent.CRON,
        ...{ commit, branch, ref: branch, message, author },
      });
      // The same for a tick whoever starts it, and however often.
      const key = `cron/${repository.name}/${shortDigest(`${trigger?.schedule}\n${trigger?.branch}`)}/${tickMs}`;
      const outcome = await starter.run({ repository, source, key }, loaded, trigger?.parameters ?? {});
      return "problem" in outcome ? outcome.problem : undefined;
    });
  }

  #warn(repository: string, message: string): void {
    this.#options.events.record({ kind: "repository", name: repository, reason: "Schedule", message, warning: true });
  }
}

/** The state once a tick had its run; undefined when nothing changes. */
function advanced(state: RepositoryState, i: number, { due, next }: Ticks): RepositoryState | undefined {
  const after = cloneMessage(RepositoryStateSchema, state);
  const schedule = after.schedules[i];
  if (schedule === undefined) return undefined;
  const nextAt = next === undefined ? undefined : timestampFromMs(next);
  if (due === undefined && schedule.next?.seconds === nextAt?.seconds) return undefined;
  if (due !== undefined) schedule.since = timestampFromMs(due);
  if (nextAt === undefined) delete schedule.next;
  else schedule.next = nextAt;
  return after;
}
