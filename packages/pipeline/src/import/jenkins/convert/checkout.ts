import type { Expression } from "../groovy/nodes.ts";
import type { Step } from "../model/model.ts";
import { argument, entry, items, literalText } from "./arguments.ts";
import type { StepDraft } from "./draft.ts";
import { secretName } from "./report.ts";
import { decorated, type StepContext, todoStep } from "./step-context.ts";
import { isReference, partsOf } from "./text.ts";

/** `checkout` and `git`. */
export function convertCheckout(step: Step, context: StepContext): readonly StepDraft[] {
  const { job, report } = context;
  const scm = step.name === "git" ? undefined : argument(step.args, "scm", "scm");
  if (scm?.kind === "variable" && scm.name === "scm" && context.dirs.length === 0) {
    if (job.hasCheckout) report.exact(step.at, "checkout scm", "left out: the job begins with it");
    else report.exact(step.at, "checkout scm", "a checkout step");
    const isFirst = !job.hasCheckout;
    job.hasCheckout = true;
    return isFirst ? [decorated({ checkout: {} }, context)] : [];
  }
  const fields = step.name === "git" ? gitFields(step, context) : scmFields(scm, step, context);
  const path = context.dirs.map((dir) => dir.replaceAll(/^['"]|['"]$/g, "")).join("/");
  const isSound = fields !== undefined && Object.values(fields).every(isReference);
  const isInside = /^(?:[A-Za-z0-9_][A-Za-z0-9_./-]*)?$/.test(path) && !path.split("/").includes("..");
  if (!isSound || !isInside) {
    report.unsupported(
      step.at,
      step.name,
      "its repository is known only when the script runs: a step that fails says what to port",
    );
    return [todoStep(step.name, step, context)];
  }
  report.exact(step.at, step.name, "a checkout step");
  return [decorated({ checkout: path === "" ? fields : { ...fields, path } }, context)];
}

type Fields = Readonly<Record<string, string>>;

function textIn(expression: Expression | undefined, { scope }: StepContext): string | undefined {
  return expression === undefined ? undefined : scope.textOf(partsOf(expression));
}

function gitFields(step: Step, context: StepContext): Fields | undefined {
  const repository = textIn(argument(step.args, "url", "url"), context);
  const branch = textIn(argument(step.args, "branch"), context) ?? "master";
  return repository === undefined
    ? undefined
    : withCredential({ repository, ref: branch }, argument(step.args, "credentialsId"));
}

function withCredential(fields: Fields, id: Expression | undefined): Fields {
  const credential = literalText(id);
  return credential === undefined || credential === "" ? fields : { ...fields, credential: secretName(credential) };
}

/** `[$class: "GitSCM", ...]`, `scmGit(...)` and the like of Subversion. */
function scmFields(scm: Expression | undefined, _step: Step, context: StepContext): Fields | undefined {
  const map = scm?.kind === "call" ? scm.args[0] : scm;
  const [remote] = items(entry(map, "userRemoteConfigs"));
  const repository = textIn(entry(remote, "url"), context);
  if (repository !== undefined) {
    const [branch] = items(entry(map, "branches"));
    const ref = textIn(entry(branch, "name"), context)?.replace(/^\*\/|^refs\/heads\/|^origin\//, "") ?? "";
    return withCredential(
      { repository, ...(ref === "" || ref === "**" ? {} : { ref }) },
      entry(remote, "credentialsId"),
    );
  }
  const [location] = items(entry(map, "locations"));
  const subversion = textIn(entry(location, "remote"), context);
  return subversion === undefined ? undefined : withCredential({ subversion }, entry(location, "credentialsId"));
}
