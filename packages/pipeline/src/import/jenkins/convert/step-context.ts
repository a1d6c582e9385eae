import type { Expression } from "../groovy/nodes.ts";
import type { Step } from "../model/model.ts";
import type { StepDraft } from "./draft.ts";
import type { Job } from "./job.ts";
import type { Report } from "./report.ts";
import { type Scope, STEP_BUILT_IN, UNKNOWN_BUILT_IN } from "./scope.ts";
import { hasControls, literal, type Part, partsOf, quoteShell, shellScript, shellWord } from "./text.ts";

/** What holds where a step is converted. */
export interface StepContext {
  readonly source: string;
  readonly job: Job;
  readonly scope: Scope;
  readonly report: Report;
  /** Of the stage, where it is not the job's. */
  readonly image?: string;
  /** Whether the job comes after another. */
  readonly waitsFor: (other: Job) => boolean;
  /** Folders below the workspace, as shell words. */
  readonly dirs: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Shell lines before each script. */
  readonly exports: readonly string[];
  readonly timeout?: string;
  readonly allowFailure?: boolean;
  readonly runIf?: "failure" | "always";
  /** When artifacts are kept. */
  readonly on?: "failure" | "always";
  /** Stashes by their names: the job and artifact that hold them. */
  readonly stashes: Map<string, { readonly job: Job; readonly artifact: string }>;
}

/** Variables that every shell has. */
const SHELL_VARIABLES: ReadonlySet<string> = new Set(
  "PATH HOME USER PWD OLDPWD SHELL TMPDIR IFS HOSTNAME LANG LC_ALL TERM PS4 PPID OPTARG OPTIND".split(" "),
);

/** A script as a step: with what must be set before it, in its folder. Jenkins allows variables that are not set. */
export function scriptStep(parts: readonly Part[], context: StepContext, name?: string): StepDraft {
  const script = literal(shellScript(parts)).trim() === "" ? "true" : shellScript(parts);
  const interpreter = /^#!\s*(\S+)(?:[ \t]+(\S+))?[^\n]*\n/.exec(script);
  if (interpreter !== null) return interpretedStep(script, { interpreter, context, name });
  return decorated({ run: imaged(prefixed(script, context), context) }, context, name);
}

function imaged(script: string, { image }: StepContext): NonNullable<StepDraft["run"]> {
  return image === undefined ? literal(script) : { script: literal(script), image };
}

/** With everything before it that its context asks for. */
export function prefixed(script: string, { exports, scope, dirs, env }: StepContext): string {
  const known = new Set([...Object.keys(env), ...exportedNames([...scope.exports, ...exports])]);
  const lines = [
    ...Object.entries(STEP_BUILT_IN).flatMap(([name, value]) =>
      new RegExp(`\\$\\{?${name}\\b`).test(script) ? [`export ${name}="${value}"`] : [],
    ),
    ...(mayBeUnset(script, known, scope) ? ["set +u"] : []),
    ...scope.exports,
    ...exports,
    ...dirs.map((dir) => `mkdir -p ${dir} && cd ${dir}`),
  ];
  return [...lines, script].join("\n");
}

function exportedNames(lines: readonly string[]): readonly string[] {
  return lines.flatMap((line) => /^export ([A-Za-z_][A-Za-z0-9_]*)=/.exec(line)?.[1] ?? []);
}

function mayBeUnset(script: string, known: ReadonlySet<string>, scope: Scope): boolean {
  for (const match of script.matchAll(/\$(?:\{([A-Za-z_][A-Za-z0-9_]*)([:}+-]?)|([A-Za-z_][A-Za-z0-9_]*))/g)) {
    const name = match[1] ?? match[3] ?? "";
    const hasDefault = match[2] === ":" || match[2] === "-" || match[2] === "+";
    const isKnown = hasDefault || known.has(name) || SHELL_VARIABLES.has(name) || scope.get(name) !== undefined;
    if (!isKnown && !(name in STEP_BUILT_IN) && !name.startsWith("KEDGE_") && !isAssigned(name, script)) return true;
  }
  return false;
}

function isAssigned(name: string, script: string): boolean {
  return new RegExp(`(?:^|[\\s;({])(?:export\\s+|read\\s+(?:-r\\s+)?|for\\s+)?${name}(?:=|\\s+in\\s)`, "m").test(
    script,
  );
}

const RUNNERS: Readonly<Record<string, string>> = { perl: "-e", ruby: "-e", node: "-e" };

/** A script that names its interpreter is given to it as an argument. */
function interpretedStep(
  script: string,
  { interpreter, context, name }: { interpreter: RegExpExecArray; context: StepContext; name: string | undefined },
): StepDraft {
  const [, program = "", argument = ""] = interpreter;
  const isEnv = program.endsWith("/env");
  const tool = (isEnv ? argument : program).split("/").at(-1) ?? "";
  const flag = RUNNERS[tool] ?? "-c";
  const words = [program, ...(isEnv || argument !== "" ? [argument] : []), flag];
  const isShell = /^(?:ba|da|z|k)?sh$/.test(tool);
  if (isShell && argument === "") {
    const command = [program, "-c", literal(prefixed(script, context))];
    const run = context.image === undefined ? { command } : { command, image: context.image };
    return decorated({ run }, context, name);
  }
  const line = [...words.map((word) => shellWord([{ kind: "text", text: word }])), quoteShell(script)].join(" ");
  return decorated({ run: imaged(prefixed(line, context), context) }, context, name);
}

/** A step with what its context asks of every step. */
export function decorated(step: StepDraft, context: StepContext, name?: string): StepDraft {
  return {
    ...(name === undefined || name === "" ? {} : { name: literal(name) }),
    ...step,
    ...(Object.keys(context.env).length === 0 || step.run === undefined ? {} : { env: { ...context.env } }),
    ...(context.timeout === undefined ? {} : { timeout: context.timeout }),
    ...(context.runIf === undefined ? {} : { "run-if": context.runIf }),
    ...(context.allowFailure === true ? { "allow-failure": true } : {}),
  };
}

/** A step that fails and says what has to be written by hand, with the source beside it. */
export function todoStep(
  what: string,
  { at, end }: { readonly at: number; readonly end?: number },
  context: StepContext,
): StepDraft {
  const { line } = context.report.places.of(at);
  const source =
    end === undefined
      ? []
      : context.source
          .slice(at, end)
          .trim()
          .split(/\r\n|\r|\n/)
          .slice(0, 60);
  const message = `TODO: port ${what} of line ${line} of the Jenkinsfile`;
  const script = [`echo ${quoteShell(message)} >&2`, "exit 1", ...source.map((text) => `# ${text}`)].join("\n");
  return decorated({ run: literal(script) }, { ...context, env: {} }, `TODO ${what} (line ${line})`);
}

/** The pieces of an argument; what is not known before Groovy runs is reported, and undefined. */
export function knownParts(
  expression: Expression | undefined,
  step: Step,
  { report }: StepContext,
): readonly Part[] | undefined {
  const parts = partsOf(expression);
  if (parts === undefined)
    report.unsupported(step.at, step.name, "its argument takes Groovy to know: a step that fails says what to port");
  if (parts?.some((part) => part.kind === "text" && hasControls(part.text)) === true)
    report.approximate(step.at, step.name, "control characters are left out");
  for (const part of parts ?? []) {
    if (part.kind === "variable" && UNKNOWN_BUILT_IN.some((name) => name === part.name))
      report.unsupported(step.at, `env.${part.name}`, "Kedge has nothing like it: the variable is empty");
  }
  return parts;
}
