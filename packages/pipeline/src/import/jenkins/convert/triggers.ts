import type { Calls, MethodCall, Pipeline } from "../model/model.ts";
import { callArgument, duration, isTrue, items, literalText, seconds } from "./arguments.ts";
import type { PipelineDraft } from "./draft.ts";
import type { Report } from "./report.ts";
import { literal } from "./text.ts";

const ALIASES: Readonly<Record<string, string>> = {
  "@yearly": "H H H H *",
  "@annually": "H H H H *",
  "@monthly": "H H H * *",
  "@weekly": "H H * * H",
  "@daily": "H H * * *",
  "@midnight": "H H(0-2) * * *",
  "@hourly": "H * * * *",
};
const NUMBER = /^\d{1,2}$/;
const RANGES = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;

/** What starts a pipeline. */
export function convertTriggers(triggers: Calls | undefined, report: Report): PipelineDraft["on"] {
  const on: Record<string, unknown> = {};
  for (const call of triggers?.calls ?? []) {
    if (call.name === "cron") addCron(call, on, report);
    else if (call.name === "pollSCM") addPoll(call, on, report);
    else if (/push/i.test(call.name) || call.name === "gitlab") {
      on["push"] = {};
      report.approximate(call.at, call.name, "every push starts a run: narrow it with branches and paths");
    } else
      report.unsupported(
        call.at,
        call.name,
        "nothing starts runs like that; a job of another pipeline can call this one",
      );
  }
  return Object.keys(on).length === 0 ? undefined : on;
}

function addCron(call: MethodCall, on: Record<string, unknown>, report: Report): void {
  const spec = literalText(callArgument(call, "spec", "spec"));
  const schedules = spec === undefined ? undefined : readSchedules(spec);
  if (schedules === undefined || schedules.length === 0) {
    report.unsupported(call.at, "cron", "the schedule could not be read: write it under on.cron");
    return;
  }
  on["cron"] = schedules.slice(0, 20);
  report.exact(call.at, "cron", "the same schedule; H is chosen by the pipeline's name here as well");
}

/** A line each; `TZ=` before them. Undefined when one cannot be read. */
function readSchedules(spec: string): { schedule: string; "time-zone"?: string }[] | undefined {
  let zone: string | undefined;
  const schedules: { schedule: string; "time-zone"?: string }[] = [];
  for (const raw of spec.split("\n")) {
    const line = raw.replace(/#.*$/, "").trim();
    if (line === "") continue;
    const found = /^TZ=([A-Za-z][A-Za-z0-9_+/-]{0,63})$/.exec(line);
    if (found !== null) {
      zone = found[1];
      continue;
    }
    const fields = (ALIASES[line] ?? line).split(/\s+/);
    if (fields.length !== 5 || !fields.every((field, i) => isField(field, i))) return undefined;
    schedules.push({ schedule: fields.join(" "), ...(zone === undefined ? {} : { "time-zone": zone }) });
  }
  return schedules;
}

function isField(field: string, index: number): boolean {
  const [min, max] = RANGES[index] ?? [0, 59];
  const isIn = (text: string | undefined): boolean =>
    text === undefined || (NUMBER.test(text) && Number(text) >= min && Number(text) <= max);
  return field.split(",").every((part) => {
    const match =
      /^(?:\*|H(?:\((\d{1,2})-(\d{1,2})\))?|(\d{1,2})(?:-(\d{1,2}))?|(?:(?:mon|tue|wed|thu|fri|sat|sun)(?:-(?:mon|tue|wed|thu|fri|sat|sun))?))(?:\/([1-9]\d?))?$/i.exec(
        part,
      );
    return match?.slice(1, 5).every(isIn) === true;
  });
}

function addPoll(call: MethodCall, on: Record<string, unknown>, report: Report): void {
  const spec = literalText(callArgument(call, "scmpoll_spec", "scmpoll_spec"))?.trim();
  if (spec === "") {
    on["push"] = {};
    report.approximate(call.at, "pollSCM", "every push starts a run");
    return;
  }
  const minute = /^(?:\*|H)\/(\d{1,2})\s/.exec(spec ?? "")?.[1];
  const every = minute !== undefined ? Number(minute) * 60 : /^\*\s/.test(spec ?? "") ? 60 : 3600;
  on["poll"] = { every: duration(Math.max(60, every)) };
  report.approximate(call.at, "pollSCM", "looks for new commits at even distances of time");
}

/** The parameters of a pipeline. */
export function convertParameters(
  parameters: Calls | undefined,
  report: Report,
): NonNullable<PipelineDraft["parameters"]> {
  const converted: Record<string, Record<string, unknown>> = {};
  for (const call of parameters?.calls ?? []) {
    const name = literalText(callArgument(call, "name", "name"));
    if (name === undefined || !/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)) {
      report.unsupported(call.at, call.name, "parameters are named by letters, digits and _");
      continue;
    }
    const body = convertParameter(call);
    if (body === undefined)
      report.unsupported(call.at, `${call.name} ${name}`, "no parameters are of this kind: it is a text here");
    else report.exact(call.at, `${call.name} ${name}`, "a parameter, and a variable of the jobs");
    const description = literalText(callArgument(call, "description"));
    converted[name] = {
      ...(body ?? { default: "" }),
      ...(description === undefined || description.trim() === "" ? {} : { description: literal(description) }),
    };
  }
  return converted;
}

function convertParameter(call: MethodCall): Record<string, unknown> | undefined {
  const value = callArgument(call, "defaultValue");
  switch (call.name) {
    case "string":
    case "text":
      return { default: literal(literalText(value) ?? "") };
    case "booleanParam":
      return { type: "boolean", default: isTrue(value) };
    case "password":
      return { type: "secret" };
    case "choice": {
      const given = callArgument(call, "choices");
      const list =
        given?.kind === "list"
          ? items(given).map((it) => literalText(it) ?? "")
          : (literalText(given) ?? "").split("\n");
      const choices = [...new Set(list.filter((it) => it !== "").map(literal))].slice(0, 100);
      return choices.length === 0 ? undefined : { type: "choice", choices, default: choices[0] };
    }
    default:
      return undefined;
  }
}

/** What the options of a pipeline or stage come to. */
export interface ConvertedOptions {
  readonly timeoutSeconds?: number;
  readonly attempts?: number;
  readonly runs?: Record<string, unknown>;
  readonly skipCheckout: boolean;
  readonly failFast: boolean;
}

/** The options of a pipeline or of a stage. */
export function convertOptions(options: Pipeline["options"], report: Report): ConvertedOptions {
  let converted: ConvertedOptions = { skipCheckout: false, failFast: false };
  for (const call of options?.calls ?? []) converted = { ...converted, ...convertOption(call, report) };
  return converted;
}

const NEUTRAL: Readonly<Record<string, string>> = {
  timestamps: "logs have the time of each line",
  ansiColor: "logs keep their colours",
  disableResume: "runs go on where they were after a restart",
  durabilityHint: "each change of a run is flushed to disk",
  overrideIndexTriggers: "repositories are not indexed",
  skipStagesAfterUnstable: "runs are never unstable: jobs after one that failed are skipped",
  preserveStashes: "artifacts are kept for 30 days",
};

function convertOption(call: MethodCall, report: Report): Partial<ConvertedOptions> {
  const { name, at } = call;
  if (name === "timeout") {
    const total = seconds(
      literalText(callArgument(call, "time", "time")),
      literalText(callArgument(call, "unit")),
      "MINUTES",
    );
    if (total === undefined) report.unsupported(at, name, "the time is known only when the script runs");
    else report.exact(at, name, "a timeout");
    return total === undefined ? {} : { timeoutSeconds: total };
  }
  if (name === "retry") {
    const count = Number(literalText(callArgument(call, "count", "count")));
    const isSound = Number.isInteger(count) && count >= 1;
    if (isSound && count <= 20) report.exact(at, name, "attempts of the job, also when its steps failed");
    else report.approximate(at, name, "at most 20 attempts");
    return isSound ? { attempts: Math.min(count, 20) } : {};
  }
  if (name === "disableConcurrentBuilds") {
    const abort = isTrue(callArgument(call, "abortPrevious"));
    report.exact(at, name, "one run of a branch at once");
    return { runs: { limit: 1, "on-new": abort ? "cancel-running" : "queue" } };
  }
  if (name === "skipDefaultCheckout") {
    const given = callArgument(call, "value", "value");
    report.exact(at, name, "jobs begin without a checkout step");
    return { skipCheckout: given === undefined || isTrue(given) };
  }
  if (name === "parallelsAlwaysFailFast") {
    report.approximate(at, name, "a combination of a matrix that fails cancels the others; parallel jobs go on");
    return { failFast: true };
  }
  if (Object.hasOwn(NEUTRAL, name)) report.exact(at, name, NEUTRAL[name] ?? "");
  else if (name === "buildDiscarder")
    report.approximate(at, name, "runs and artifacts are kept as the controller is set; artifacts can have expire");
  else report.unsupported(at, name, "there is nothing like it");
  return {};
}
