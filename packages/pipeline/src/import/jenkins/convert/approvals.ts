import type { Input } from "../model/model.ts";
import { literalText } from "./arguments.ts";
import type { JobDraft } from "./draft.ts";
import type { Report } from "./report.ts";
import type { Scope } from "./scope.ts";
import { literal, partsOf } from "./text.ts";

/** What a stage's `input` asks, and whom. */
export function approvalOf(
  stage: string,
  { fields: { message, submitter } }: Input,
  scope: Scope,
): NonNullable<JobDraft["approval"]> {
  const text = message === undefined ? undefined : scope.textOf(partsOf(message.expression));
  const approvers = (literalText(submitter?.expression) ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => /^[a-zA-Z0-9][a-zA-Z0-9._@-]{0,63}$/.test(name))
    .slice(0, 50);
  return { message: text ?? literal(stage), ...(approvers.length === 0 ? {} : { approvers }) };
}

/** Tells what became of an `input`. */
export function reportApproval({ fields: { submitter }, parameters, at }: Input, job: string, report: Report): void {
  if (submitter === undefined) report.exact(at, "input", `the approval ${job}`);
  else report.approximate(at, "input", `the approval ${job}: approvers are names of tokens, or team:<team>`);
  if (parameters.length === 0) return;
  report.unsupported(at, "input parameters", "an approval asks for nothing: make them parameters of the pipeline");
}
