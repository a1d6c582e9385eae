import type { Step } from "../model/model.ts";
import { argument, duration, isTrue, literalText, seconds } from "./arguments.ts";
import { convertCheckout } from "./checkout.ts";
import { convertCredentials } from "./credentials.ts";
import type { StepDraft } from "./draft.ts";
import { keepFiles, keepReports, keepStash, takeStash } from "./files.ts";
import { convertScript } from "./script-block.ts";
import { decorated, knownParts, prefixed, type StepContext, scriptStep, todoStep } from "./step-context.ts";
import { literal, type Part, partsOf, quoteShell, shellWord } from "./text.ts";

type Convert = (step: Step, context: StepContext) => readonly StepDraft[];

/** The steps that a list of steps becomes. */
export function convertSteps(steps: readonly Step[], context: StepContext): StepDraft[] {
  return steps.flatMap((step) => [...convertStep(step, context)]);
}

/** The steps that one becomes; what cannot be converted becomes one that fails and says so. */
export function convertStep(step: Step, context: StepContext): readonly StepDraft[] {
  const convert = Object.hasOwn(CONVERTERS, step.name) ? CONVERTERS[step.name] : undefined;
  if (convert !== undefined) return convert(step, context);
  const what = step.children === undefined ? step.name : `${step.name} { }`;
  context.report.unsupported(step.at, what, "no counterpart: a step that fails says what to port");
  return [todo(step, context)];
}

function todo(step: Step, context: StepContext): StepDraft {
  const end = context.source.indexOf("\n", step.at);
  return todoStep(step.name, { at: step.at, end: end < 0 ? context.source.length : end }, context);
}

const CONVERTERS: Readonly<Record<string, Convert>> = {
  sh: convertSh,
  pwsh: convertPwsh,
  echo: (step, context) => withMessage(step, context, (word) => `echo ${word}`),
  error: (step, context) => withMessage(step, context, (word) => `echo ${word} >&2\nexit 1`),
  unstable: convertUnstable,
  sleep: convertSleep,
  writeFile: convertWriteFile,
  deleteDir: (step, context) => cleared(step, context),
  cleanWs: (step, context) => cleared(step, context),
  dir: convertDir,
  withEnv: convertWithEnv,
  withCredentials: (step, context) => convertSteps(step.children ?? [], convertCredentials(step, context)),
  timeout: convertTimeout,
  retry: convertRetry,
  catchError: (step, context) => tolerated(step, context),
  warnError: (step, context) => tolerated(step, context),
  timestamps: wrapped,
  ansiColor: wrapped,
  checkout: convertCheckout,
  git: convertCheckout,
  archiveArtifacts: (step, context) => keepFiles(step, context),
  archive: (step, context) => keepFiles(step, context),
  junit: (step, context) => keepReports(step, context),
  stash: (step, context) => keepStash(step, context),
  unstash: (step, context) => takeStash(step, context),
  script: (step, context) => convertScript(step, context, convertStep),
};

function convertSh(step: Step, context: StepContext): readonly StepDraft[] {
  const script = knownParts(argument(step.args, "script", "script"), step, context);
  if (script === undefined) return [todo(step, context)];
  const label = literalText(argument(step.args, "label"));
  const ignored = isTrue(argument(step.args, "returnStatus"));
  if (ignored) context.report.approximate(step.at, "sh returnStatus", "the status is not looked at: the step may fail");
  else context.report.exact(step.at, "sh", "a run step");
  return [scriptStep(script, ignored ? { ...context, allowFailure: true } : context, label)];
}

function convertPwsh(step: Step, context: StepContext): readonly StepDraft[] {
  const script = knownParts(argument(step.args, "script", "script"), step, context);
  if (script?.every((part) => part.kind === "text") !== true) return [todo(step, context)];
  context.report.exact(step.at, "pwsh", "a run step of pwsh, which the node or image must have");
  const command = `pwsh -NoProfile -Command ${quoteShell(script.map((part) => (part.kind === "text" ? part.text : "")).join(""))}`;
  return [decorated({ run: literal(prefixed(command, context)) }, context)];
}

function withMessage(step: Step, context: StepContext, write: (word: string) => string): readonly StepDraft[] {
  const message = knownParts(argument(step.args, "message", "message"), step, context);
  if (message === undefined) return [todo(step, context)];
  context.report.exact(step.at, step.name, "a run step");
  const isPlain = message.every((part) => part.kind !== "text" || !/\\|^-/.test(part.text));
  const script = write(shellWord(message));
  return [scriptStep(asText(isPlain ? script : script.replace(/^echo /, "printf '%s\\n' ")), context)];
}

const asText = (text: string): readonly Part[] => [{ kind: "text", text }];

function convertUnstable(step: Step, context: StepContext): readonly StepDraft[] {
  context.report.approximate(step.at, "unstable", "a step that may fail: runs are never unstable");
  const message = partsOf(argument(step.args, "message", "message")) ?? asText("unstable");
  return [scriptStep(asText(`echo ${shellWord(message)} >&2\nexit 1`), { ...context, allowFailure: true })];
}

function convertSleep(step: Step, context: StepContext): readonly StepDraft[] {
  const time = literalText(argument(step.args, "time", "time"));
  const total = seconds(time, literalText(argument(step.args, "unit")), "SECONDS");
  if (total === undefined) return [todo(step, context)];
  context.report.exact(step.at, "sleep", "a run step");
  return [scriptStep(asText(`sleep ${total}`), context)];
}

function convertWriteFile(step: Step, context: StepContext): readonly StepDraft[] {
  const file = knownParts(argument(step.args, "file"), step, context);
  const text = knownParts(argument(step.args, "text"), step, context);
  if (file === undefined || text === undefined) return [todo(step, context)];
  context.report.exact(step.at, "writeFile", "a run step");
  const word = shellWord(file);
  return [scriptStep(asText(`mkdir -p "$(dirname ${word})"\nprintf '%s' ${shellWord(text)} > ${word}`), context)];
}

/** At the end of a job nothing is left to clear: each attempt has a folder of its own. */
function cleared(step: Step, context: StepContext): readonly StepDraft[] {
  if (context.on === "always" || context.runIf === "always") {
    context.report.exact(step.at, step.name, "left out: each attempt begins in an empty workspace");
    return [];
  }
  context.report.exact(step.at, step.name, "a run step");
  return [scriptStep(asText("find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +"), context)];
}

function convertDir(step: Step, context: StepContext): readonly StepDraft[] {
  const path = knownParts(argument(step.args, "path", "path"), step, context);
  if (path === undefined) return [todo(step, context)];
  context.report.exact(step.at, "dir", "its steps begin in that folder");
  return convertSteps(step.children ?? [], { ...context, dirs: [...context.dirs, shellWord(path)] });
}

function convertWithEnv(step: Step, context: StepContext): readonly StepDraft[] {
  const list = argument(step.args, "overrides", "overrides");
  const env: Record<string, string> = {};
  const exports: string[] = [];
  for (const item of list?.kind === "list" ? list.items : []) {
    const parts = knownParts(item, step, context);
    const [first, ...others] = parts ?? [];
    const match = first?.kind === "text" ? /^([A-Za-z_][A-Za-z0-9_]*)(\+[^=]*)?=([\s\S]*)$/.exec(first.text) : null;
    if (match === null) return [todo(step, context)];
    const [, name = "", prepend, text = ""] = match;
    const value: readonly Part[] = [{ kind: "text", text }, ...others];
    const known = prepend === undefined ? context.scope.textOf(value) : undefined;
    if (known !== undefined) env[name] = known;
    else exports.push(`export ${name}=${shellWord(value)}${prepend === undefined ? "" : `":\${${name}:-}"`}`);
  }
  context.report.exact(step.at, "withEnv", "variables of its steps");
  return convertSteps(step.children ?? [], {
    ...context,
    env: { ...context.env, ...env },
    exports: [...context.exports, ...exports],
  });
}

function convertTimeout(step: Step, context: StepContext): readonly StepDraft[] {
  const total = seconds(
    literalText(argument(step.args, "time", "time")),
    literalText(argument(step.args, "unit")),
    "MINUTES",
  );
  const { children = [] } = step;
  if (total === undefined) {
    context.report.unsupported(step.at, "timeout", "the time is known only when the script runs: there is no limit");
    return convertSteps(children, context);
  }
  const steps = convertSteps(children, { ...context, timeout: duration(total) });
  if (steps.length === 1) context.report.exact(step.at, "timeout", "the timeout of its step");
  else context.report.approximate(step.at, "timeout", "the timeout of each of its steps, not of all together");
  return steps;
}

/** Steps that are shell scripts and nothing else are tried again within one step. */
function convertRetry(step: Step, context: StepContext): readonly StepDraft[] {
  const count = literalText(argument(step.args, "count", "count"));
  const inner = convertSteps(step.children ?? [], { ...context, env: {}, exports: [], dirs: [] });
  const scripts = inner.map(({ run, env, timeout }) =>
    typeof run === "string" && env === undefined && timeout === undefined
      ? run.replaceAll("$${{", () => "${{")
      : undefined,
  );
  const isPlain = scripts.every((script) => script !== undefined) && /^[1-9]\d{0,2}$/.test(count ?? "");
  if (!isPlain || context.image !== undefined) {
    context.report.unsupported(step.at, "retry", "only shell scripts can be tried again: its steps run once");
    return convertSteps(step.children ?? [], context);
  }
  context.report.exact(step.at, "retry", "a loop in a run step");
  const attempts = Array.from({ length: Number(count) }, (_, i) => i + 1).join(" ");
  const script = scripts.map((one) => `( ${one}\n)`).join("\n");
  const loop = `script=${quoteShell(script)}\nfor attempt in ${attempts}; do\n  if sh -euc "$script"; then exit 0; fi\ndone\nexit 1`;
  return [decorated({ run: literal(prefixed(loop, context)) }, context)];
}

function tolerated(step: Step, context: StepContext): readonly StepDraft[] {
  context.report.approximate(step.at, step.name, "its steps may fail; those after one that failed run as well");
  return convertSteps(step.children ?? [], { ...context, allowFailure: true });
}

function wrapped(step: Step, context: StepContext): readonly StepDraft[] {
  context.report.exact(step.at, step.name, "logs have the time of each line, and their colours");
  return convertSteps(step.children ?? [], context);
}
