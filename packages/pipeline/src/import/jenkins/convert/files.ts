import { isInnerPath } from "../../../fields.ts";
import { nameOf } from "../../draft.ts";
import type { Step } from "../model/model.ts";
import { argument, isTrue, literalText } from "./arguments.ts";
import type { ArtifactDraft, StepDraft } from "./draft.ts";
import { type StepContext, todoStep } from "./step-context.ts";
import { partsOf } from "./text.ts";

/** Stands for a text that is known only when the script runs. */
const UNKNOWN = "\0";

/** Patterns of Ant, separated by commas, as globs of kedge.yaml; undefined when they cannot be. */
function globs(step: Step, names: readonly string[], context: StepContext): string[] | undefined {
  const [included, excluded = ""] = names.map((name) => {
    const expression = argument(step.args, name, names[0]);
    return expression === undefined ? "" : (context.scope.textOf(partsOf(expression)) ?? UNKNOWN);
  });
  if (included === undefined || included === UNKNOWN || excluded === UNKNOWN) return undefined;
  const split = (list: string) =>
    list
      .split(",")
      .map((it) => it.trim())
      .filter((it) => it !== "");
  const paths = [...split(included), ...split(excluded).map((it) => `!${it}`)].map((path) =>
    path.replace(/^(!?)\.\//, "$1").replace(/\/$/, "/**"),
  );
  const prefix = context.dirs.map((dir) => `${dir.replaceAll(/^['"]|['"]$/g, "")}/`).join("");
  const placed = paths.map((path) => path.replace(/^(!?)/, `$1${prefix}`));
  const isSound = placed.every((path) => isInnerPath(path.replace(/^!/, "")) && !/\$|^!!/.test(path));
  return isSound && placed.length > 0 && placed.length <= 100 ? placed : undefined;
}

function unknownFiles(step: Step, context: StepContext): readonly StepDraft[] {
  context.report.unsupported(
    step.at,
    step.name,
    "its files are known only when the script runs, or lie outside of the workspace",
  );
  return [todoStep(step.name, step, context)];
}

/** `archiveArtifacts`: files that the job leaves. */
export function keepFiles(step: Step, context: StepContext): readonly StepDraft[] {
  const paths = globs(step, [step.name === "archive" ? "includes" : "artifacts", "excludes"], context);
  if (paths === undefined) return unknownFiles(step, context);
  const isLenient = isTrue(argument(step.args, "allowEmptyArchive")) || step.name === "archive";
  keep(step, { name: "artifacts", paths, ...(isLenient ? {} : { required: true }) }, context);
  return [];
}

/** `junit`: reports whose figures become metrics. */
export function keepReports(step: Step, context: StepContext): readonly StepDraft[] {
  const paths = globs(step, ["testResults"], context);
  if (paths === undefined) return unknownFiles(step, context);
  const isLenient = isTrue(argument(step.args, "allowEmptyResults"));
  keep(
    step,
    { name: "junit", paths, report: "junit", ...(isLenient || context.on === "always" ? {} : { required: true }) },
    context,
  );
  return [];
}

function keep(step: Step, artifact: ArtifactDraft, context: StepContext): void {
  const { on, job, report } = context;
  if (on === undefined)
    report.approximate(step.at, step.name, "an artifact of the job, kept when all of its steps went well");
  else
    report.exact(step.at, step.name, `an artifact of the job, kept ${on === "always" ? "always" : "when it failed"}`);
  job.addArtifact({ ...artifact, ...(on === undefined ? {} : { on }) });
}

/** `stash`: files that later jobs take. */
export function keepStash(step: Step, context: StepContext): readonly StepDraft[] {
  const name = literalText(argument(step.args, "name", "name"));
  const hasPatterns = argument(step.args, "includes") !== undefined || argument(step.args, "excludes") !== undefined;
  const paths = hasPatterns ? stashed(step, context) : ["**"];
  if (name === undefined || paths === undefined) return unknownFiles(step, context);
  const artifact = context.job.addArtifact({ name: nameOf(`stash-${name}`, "stash", 60), paths });
  context.stashes.set(name, { job: context.job, artifact });
  context.report.exact(step.at, "stash", `the artifact ${artifact} of the job`);
  return [];
}

/** Only with exclusions, all other files are stashed. */
function stashed(step: Step, context: StepContext): string[] | undefined {
  const paths = globs(step, ["includes", "excludes"], context);
  const isAll = paths?.every((path) => path.startsWith("!")) === true;
  return isAll ? ["**", ...(paths ?? [])] : paths;
}

/** `unstash`: what an earlier job left; in the same job the files are there already. */
export function takeStash(step: Step, context: StepContext): readonly StepDraft[] {
  const name = literalText(argument(step.args, "name", "name")) ?? "";
  const stash = context.stashes.get(name);
  if (stash === undefined || (stash.job !== context.job && !context.waitsFor(stash.job))) {
    context.report.unsupported(step.at, "unstash", `nothing is stashed as ${JSON.stringify(name)} before it`);
    return [todoStep("unstash", step, context)];
  }
  context.report.exact(
    step.at,
    "unstash",
    stash.job === context.job ? "left out: the files are in the same workspace" : "an input of the job",
  );
  if (stash.job !== context.job) context.job.addInput(stash.job.name, stash.artifact);
  return [];
}
