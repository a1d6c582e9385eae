import { create, equals } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  CronTriggerSchema,
  type Repository,
  type RepositoryState,
  RepositoryStateSchema,
  type Schedule,
  ScheduleSchema,
} from "@kedge/proto";
import { ticksOf } from "./cron-ticks.ts";
import type { LoadedPipelines } from "./load-pipelines.ts";

/** Most schedules of a repository. */
const MAX_SCHEDULES = 200;

/** What was seen of a repository that nothing was seen of. */
export function freshState({ name }: Pick<Repository, "name">): RepositoryState {
  return create(RepositoryStateSchema, { name });
}

/** Where and when pipelines were read. */
export interface PlanPlace {
  readonly generation: bigint;
  readonly commit: string;
  readonly nowMs: number;
}

/**
 * The state with what the pipelines of the default branch say. A schedule that was there before goes on where it was; a new
 * one counts from now.
 */
export function planned(state: RepositoryState, loaded: LoadedPipelines, place: PlanPlace): RepositoryState {
  const { generation, commit, nowMs } = place;
  const schedules = loaded.pipelines.flatMap(({ name, file, triggers }) =>
    triggers.flatMap(({ kind }): Schedule[] => {
      if (kind.case !== "cron") return [];
      const known = state.schedules.find(
        (each) =>
          each.pipeline === name &&
          each.file === file &&
          each.trigger !== undefined &&
          equals(CronTriggerSchema, each.trigger, kind.value),
      );
      return [
        known ?? create(ScheduleSchema, { pipeline: name, file, trigger: kind.value, since: timestampFromMs(nowMs) }),
      ];
    }),
  );
  const polls = loaded.pipelines.flatMap(({ triggers }) =>
    triggers.flatMap(({ kind }) => (kind.case === "poll" ? [kind.value.everySeconds] : [])),
  );
  const problems = [
    ...loaded.broken.map(({ from, problem }) => `${from}: ${problem}`),
    ...schedules.flatMap((each) => scheduleProblem(each, nowMs) ?? []),
  ];
  return create(RepositoryStateSchema, {
    ...state,
    generation,
    plannedCommit: commit,
    plannedAt: timestampFromMs(nowMs),
    planError: problems.join("\n").slice(0, 2_000),
    schedules: schedules.slice(0, MAX_SCHEDULES),
    pollSeconds: polls.length === 0 ? 0 : Math.min(...polls),
  });
}

function scheduleProblem({ trigger, pipeline }: Schedule, nowMs: number): string | undefined {
  const ticks = trigger && ticksOf(trigger, { name: pipeline, sinceMs: nowMs, nowMs });
  return typeof ticks === "string" ? `${pipeline}: ${ticks}` : undefined;
}

/** How often heads are looked for, in milliseconds; 0: never. */
export function pollEveryMs(repository: Repository, state: RepositoryState): number {
  const asked = [repository.pollSeconds, state.pollSeconds].filter((seconds) => seconds > 0);
  return asked.length === 0 ? 0 : Math.min(...asked) * 1_000;
}

/** Up to when a schedule's ticks have had their runs. */
export function sinceMs({ since }: Schedule): number {
  return since === undefined ? 0 : timestampMs(since);
}
