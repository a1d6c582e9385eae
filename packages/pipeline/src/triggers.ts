import { create } from "@bufbuild/protobuf";
import {
  CronTriggerSchema,
  OnNewRun,
  PollTriggerSchema,
  PullRequestTriggerSchema,
  PushTriggerSchema,
  type RunConcurrency,
  RunConcurrencySchema,
  TagTriggerSchema,
  type Trigger,
  TriggerSchema,
} from "@kedge/proto";
import { z } from "zod";
import { duration, early, late, report, scalarText, someText, text, whole } from "./fields.ts";
import { quote } from "./finding.ts";

type Kind = Trigger["kind"];

const MAX_PATTERNS = 100;
const MIN_POLL_SECONDS = 10;
const FIELDS = [
  { name: "minute", min: 0, max: 59 },
  { name: "hour", min: 0, max: 23 },
  { name: "day", min: 1, max: 31 },
  { name: "month", min: 1, max: 12 },
  { name: "weekday", min: 0, max: 7 },
] as const;
const NAMES = /^(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)$/i;

const globs = z
  .union([someText.transform((it) => [it]), z.array(someText).min(1).max(MAX_PATTERNS)])
  .meta({ description: "Globs: * within a segment, ** over segments; ! takes out again." });

const push = z
  .strictObject({ branches: globs.optional(), paths: globs.optional() })
  .nullable()
  .transform(
    (value): Kind => ({
      case: "push",
      value: create(PushTriggerSchema, { branches: value?.branches ?? [], paths: value?.paths ?? [] }),
    }),
  );

const pullRequest = z
  .strictObject({ branches: globs.optional(), paths: globs.optional() })
  .nullable()
  .transform(
    (value): Kind => ({
      case: "pullRequest",
      value: create(PullRequestTriggerSchema, { branches: value?.branches ?? [], paths: value?.paths ?? [] }),
    }),
  );

const tag = globs
  .nullable()
  .transform((value): Kind => ({ case: "tag", value: create(TagTriggerSchema, { tags: value ?? [] }) }));

const schedule = someText.superRefine((value, ctx) => {
  const problem = scheduleProblem(value);
  if (problem !== undefined)
    report(ctx, problem, { hint: "five fields, e.g. H 3 * * 1-5: some minute of 3 o'clock on workdays" });
});

const cronEntry = z
  .strictObject({
    schedule,
    "time-zone": early(
      (value) => /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(value),
      "a time zone, e.g. Europe/Berlin",
    ).optional(),
    branch: text.optional(),
    parameters: z.record(text, scalarText).optional(),
  })
  .transform(
    ({ schedule: when, "time-zone": timeZone = "", branch = "", parameters = {} }): Kind => ({
      case: "cron",
      value: create(CronTriggerSchema, { schedule: when, timeZone, branch, parameters }),
    }),
  );

const cron = z.union([
  schedule.transform((it) => [cronEntry.parse({ schedule: it })]),
  z.array(cronEntry).min(1).max(20),
]);

const poll = z
  .strictObject({ every: duration, branches: globs.optional() })
  .superRefine(({ every }, ctx) => {
    if (every < MIN_POLL_SECONDS) report(ctx, `must be at least ${MIN_POLL_SECONDS}s`, { path: ["every"] });
  })
  .transform(
    ({ every, branches = [] }): Kind => ({
      case: "poll",
      value: create(PollTriggerSchema, { everySeconds: every, branches }),
    }),
  );

/** The `on` of a pipeline: what starts runs by itself. */
export const triggersSchema = z
  .strictObject({
    push: push.optional(),
    "pull-request": pullRequest.optional(),
    tag: tag.optional(),
    cron: cron.optional(),
    poll: poll.optional().meta({ description: "For repositories that send no webhooks." }),
  })
  .transform((on): Trigger[] => {
    const kinds = [on.push, on["pull-request"], on.tag, ...(on.cron ?? []), on.poll];
    return kinds.flatMap((kind) => (kind === undefined ? [] : [create(TriggerSchema, { kind })]));
  })
  .meta({ description: "What starts runs by itself." });

/** What is wrong with a schedule of five fields; undefined when nothing is. */
function scheduleProblem(value: string): string | undefined {
  const fields = value.trim().split(/\s+/);
  if (fields.length !== FIELDS.length)
    return `must have five fields (minute hour day month weekday), not ${quote(value)}`;
  for (const [i, field] of fields.entries()) {
    const { name, min, max } = FIELDS[i] ?? FIELDS[0];
    if (!field.split(",").every((part) => isSchedulePart(part, min, max))) {
      return `${quote(field)} is no ${name}: ${min} to ${max}, *, ranges, lists, /steps and H`;
    }
  }
  return undefined;
}

function isSchedulePart(part: string, min: number, max: number): boolean {
  const match = /^(\*|H(?:\((\d{1,2})-(\d{1,2})\))?|(\w{1,3})(?:-(\w{1,3}))?)(?:\/(\d{1,2}))?$/.exec(part);
  if (match === null) return false;
  const [, , low, high, from, to, step] = match;
  const isIn = (bound: string | undefined): boolean =>
    bound === undefined || NAMES.test(bound) || (/^\d+$/.test(bound) && Number(bound) >= min && Number(bound) <= max);
  return [low, high, from, to].every(isIn) && (step === undefined || Number(step) > 0);
}

const ON_NEW = {
  queue: OnNewRun.QUEUE,
  "cancel-pending": OnNewRun.CANCEL_PENDING,
  "cancel-running": OnNewRun.CANCEL_RUNNING,
} as const;

/** The `runs` of a pipeline: how many of them go on at once. */
export const runConcurrencySchema = z
  .strictObject({
    group: late((value) => /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/.test(value), "a group's name").optional(),
    limit: whole(1, 1000).default(1),
    "on-new": z.enum(["queue", "cancel-pending", "cancel-running"]).default("queue"),
  })
  .transform(
    ({ group = "", limit, "on-new": onNew }): RunConcurrency =>
      create(RunConcurrencySchema, { group, limit, onNew: ON_NEW[onNew] }),
  )
  .meta({ description: "So many runs of the group at once; the others wait, or are cancelled." });
