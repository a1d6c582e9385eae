import type { Path } from "../../finding.ts";
import { asList, asPlain, asTexts, type ImportDraft, numberOf, type Plain, portStep, textOf } from "../draft.ts";
import { type ShellGuard, shellGuard } from "../shell-guard.ts";
import { fieldsOf, translateAction } from "./actions.ts";
import { translateIf } from "./condition.ts";
import { isLoginAction, translateLogin } from "./registries.ts";
import { type TextScope, translateText } from "./text.ts";

/** What the steps of a job became, and what they gave the job. */
export interface TranslatedSteps {
  readonly steps: (Plain | "checkout")[];
  readonly caches: Plain[];
  readonly artifacts: Plain[];
  readonly inputs: (Plain | string)[];
  /** Who logs in to which registry. */
  readonly logins: Plain[];
  /** By variable. */
  readonly secrets: Map<string, string>;
  image: string | undefined;
  /** Expressions that had no counterpart. */
  lost: number;
}

/** What a job's steps are translated with. */
export interface StepScope {
  readonly draft: ImportDraft;
  readonly jobs: ReadonlyMap<string, string>;
  readonly env: ReadonlyMap<string, string>;
  readonly shell: string | undefined;
  readonly folder: string | undefined;
  /** Jobs that upload an artifact, by its name; all of them under the empty one. */
  readonly uploads: ReadonlyMap<string, readonly string[]>;
}

const ENV_FILE = ".github-env";
const BASHISM =
  /\[\[|\bsource\b|\bpipefail\b|<\(|<<<|\bdeclare\b|\bfunction\b|\$\{[A-Za-z_]+(?:\[|,,|\^\^|\/\/)|=\(|&>|\bshopt\b/;

/** Translates the steps of a job. */
export function translateSteps(steps: unknown, path: Path, scope: StepScope): TranslatedSteps {
  const result: TranslatedSteps = {
    steps: [],
    caches: [],
    artifacts: [],
    inputs: [],
    logins: [],
    secrets: new Map(),
    image: undefined,
    lost: 0,
  };
  const usesEnvFile = asList(steps).some((step) => textOf(asPlain(step)["run"] ?? "").includes("GITHUB_ENV"));
  for (const [i, step] of asList(steps).entries()) {
    const fields = asPlain(step);
    const own = [...path, i];
    if (fields["run"] !== undefined) runStep(fields, own, { ...scope, usesEnvFile }, result);
    else if (fields["uses"] !== undefined) usesStep(fields, own, scope, result);
    else scope.draft.unsupported(own, "a step without run and uses");
  }
  return result;
}

function runStep(
  fields: Plain,
  path: Path,
  scope: StepScope & { usesEnvFile: boolean },
  result: TranslatedSteps,
): void {
  const { draft } = scope;
  const shell = fields["shell"] ?? scope.shell;
  if (shell !== undefined && !["bash", "sh"].includes(textOf(shell))) {
    result.steps.push(portStep(`shell: ${textOf(shell)}`, textOf(fields["name"] ?? "shell")));
    draft.unsupported([...path, "shell"], "steps are scripts for sh or bash");
    return;
  }
  const lost = result.lost;
  const translated = translate(textOf(fields["run"]), [...path, "run"], scope, true, result);
  const status = statusOf(fields, [...path, "if"], scope);
  const { env, outputs } = environment(fields, path, scope, result);
  if (status.problem !== undefined || result.lost > lost) {
    const what = status.problem ?? "expressions that have no counterpart";
    result.steps.push(portStep(what, textOf(fields["name"] ?? "run")));
    return;
  }
  const folder = fields["working-directory"] ?? scope.folder;
  const lines = [
    ...(status.guard === undefined ? [] : [`${status.guard.test} || exit 0`]),
    ...(scope.usesEnvFile ? [`if [ -f ${ENV_FILE} ]; then set -a; . ./${ENV_FILE}; set +a; fi`] : []),
    ...(folder === undefined ? [] : [`cd ${quoted(textOf(folder))}`]),
  ];
  const isBash = shell === "bash" || (shell === undefined && BASHISM.test(translated));
  const script = [...(isBash ? [] : ["set +u"]), ...lines, translated.trimEnd()].join("\n");
  const all = { ...env, ...status.guard?.env, ...(scope.usesEnvFile && { GITHUB_ENV: ENV_FILE }) };
  result.steps.push({
    ...common(fields, status.runIf),
    env: all,
    outputs,
    run: isBash ? { command: ["bash", "-eo", "pipefail", "-c", script] } : script,
  });
  draft.exact([...path, "run"], isBash ? "a script for bash" : "a script");
}

/** The step's variables, and the file that its outputs go to. */
function environment(fields: Plain, path: Path, scope: StepScope, result: TranslatedSteps) {
  const env = translateEnv(fields["env"], [...path, "env"], scope, result);
  const writes = textOf(fields["run"]).includes("GITHUB_OUTPUT");
  if (!writes) return { env, outputs: undefined };
  const file = `.github-output-${path.at(-1)}`;
  return { env: { ...env, GITHUB_OUTPUT: file }, outputs: file };
}

function usesStep(fields: Plain, path: Path, scope: StepScope, result: TranslatedSteps): void {
  const uses = textOf(fields["uses"]);
  if (isLoginAction(uses)) {
    logIn(fields, path, scope, result);
    return;
  }
  const lost = result.lost;
  const inputs = Object.fromEntries(
    Object.entries(fieldsOf(fields)).map(([key, value]) => {
      return [key, typeof value === "string" ? translate(value, [...path, "with", key], scope, false, result) : value];
    }),
  );
  const action = translateAction(uses, inputs);
  const status = statusOf(fields, [...path, "if"], scope);
  scope.draft.note(action.fidelity, [...path, "uses"], action.message, `uses: ${uses.slice(0, 80)}`);
  const isKept = status.problem === undefined && status.guard === undefined && result.lost === lost;
  const name = textOf(fields["name"] ?? uses);
  if (action.fidelity === "unsupported") result.steps.push(portStep(`uses: ${uses}`, name));
  else if (action.step === "checkout" && status.runIf === undefined) result.steps.push("checkout");
  else if (action.step !== undefined && action.step !== "checkout" && !isKept) {
    scope.draft.unsupported(path, "only scripts can be kept to a condition, and no expression may be lost");
    result.steps.push(portStep(status.problem ?? `the condition or an expression of uses: ${uses}`, name));
  } else if (action.step !== undefined) {
    const step = action.step === "checkout" ? { checkout: {} } : action.step;
    result.steps.push({ ...common(fields, status.runIf), ...step });
  }
  if (action.image !== undefined) result.image ??= action.image;
  if (action.cache !== undefined) result.caches.push(action.cache);
  if (action.artifact !== undefined) addArtifact(action.artifact, status.runIf, result);
  if (action.download !== undefined) addInputs(action.download, path, scope, result);
}

/** The job is logged in from its beginning on, whatever the step's condition. */
function logIn(fields: Plain, path: Path, { draft }: StepScope, result: TranslatedSteps): void {
  const uses = textOf(fields["uses"]);
  const { fidelity, message, login } = translateLogin(fieldsOf(fields));
  draft.note(fidelity, [...path, "uses"], message, `uses: ${uses.slice(0, 80)}`);
  if (fields["if"] !== undefined)
    draft.approximate([...path, "if"], "the job is logged in whatever the condition says");
  if (login === undefined) result.steps.push(portStep(`uses: ${uses}`, textOf(fields["name"] ?? uses)));
  else result.logins.push(login);
}

function addArtifact(artifact: Plain, on: string | undefined, { artifacts }: TranslatedSteps): void {
  const known = artifacts.find(({ name }) => name === artifact["name"]);
  if (known === undefined) artifacts.push({ ...artifact, ...(on === undefined ? {} : { on }) });
  else known["paths"] = [...asTexts(known["paths"]), ...asTexts(artifact["paths"])];
}

function addInputs(
  download: { name: string | undefined; path: string },
  path: Path,
  scope: StepScope,
  result: TranslatedSteps,
): void {
  const jobs = scope.uploads.get(download.name ?? "") ?? [];
  if (jobs.length === 0) scope.draft.unsupported(path, "no job of this workflow uploads it");
  const folder = download.path.replace(/^\.\//, "").replace(/\/$/, "");
  for (const job of jobs) {
    const named = download.name === undefined ? {} : { artifact: download.name };
    result.inputs.push({ job, ...named, ...(folder === "" || folder === "." ? {} : { path: folder }) });
  }
}

function common(fields: Plain, runIf: string | undefined): Plain {
  const minutes = numberOf(fields["timeout-minutes"]);
  return {
    name:
      fields["name"] === undefined
        ? undefined
        : textOf(fields["name"])
            .replaceAll(/\$\{\{[^}]*\}\}/g, "")
            .slice(0, 120),
    "run-if": runIf,
    "allow-failure": fields["continue-on-error"] === true ? true : undefined,
    timeout: minutes > 0 ? `${Math.ceil(minutes)}m` : undefined,
  };
}

function statusOf(
  fields: Plain,
  path: Path,
  scope: StepScope,
): { runIf?: string; guard?: ShellGuard; problem?: string } {
  if (fields["if"] === undefined) return {};
  const { runIf, when, problem } = translateIf(textOf(fields["if"]), scope.jobs);
  if (problem !== undefined) {
    scope.draft.unsupported(path, `the step has to be ported: ${problem}`);
    return { problem };
  }
  scope.draft.exact(path, when === undefined ? "run-if" : "a test at the beginning of the script");
  return { ...(runIf === undefined ? {} : { runIf }), ...(when === undefined ? {} : { guard: shellGuard(when) }) };
}

/** Translates variables; those that are secrets become secrets of the job. */
export function translateEnv(
  env: unknown,
  path: Path,
  scope: TextSource,
  result: Pick<TranslatedSteps, "secrets" | "lost">,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(asPlain(env))) {
    const secret = /^\s*\$\{\{\s*secrets\.([A-Za-z_]\w*)\s*\}\}\s*$/.exec(textOf(value))?.[1];
    if (secret === undefined) found[name] = translate(textOf(value ?? ""), [...path, name], scope, false, result);
    else if (secret === "GITHUB_TOKEN")
      scope.draft.unsupported([...path, name], "there is no token of the forge: keep one as a secret");
    else {
      result.secrets.set(name, secret);
      scope.draft.exact([...path, name], `secret ${secret} of the job`);
    }
  }
  return found;
}

type TextSource = Pick<StepScope, "draft" | "jobs" | "env">;

function translate(
  text: string,
  path: Path,
  scope: TextSource,
  isScript: boolean,
  result: Pick<TranslatedSteps, "secrets" | "lost">,
): string {
  const textScope: TextScope = { jobs: scope.jobs, env: scope.env, isScript };
  const { text: translated, secrets, problems } = translateText(text, textScope);
  for (const secret of secrets) result.secrets.set(secret, secret);
  for (const problem of problems) scope.draft.unsupported(path, `${problem} has no counterpart`);
  result.lost += problems.length;
  return translated;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''").replaceAll("${{", () => "$${{")}'`;
}
