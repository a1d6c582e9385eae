import { asList, asPlain, asTexts, type ImportDraft, isPlain, type Plain, textOf } from "../draft.ts";

/** What `on` became: triggers and parameters. */
export interface TranslatedTriggers {
  readonly on: Plain;
  readonly parameters: Plain;
}

/** Translates the `on` of a workflow. */
export function translateTriggers(on: unknown, draft: ImportDraft): TranslatedTriggers {
  const events: Plain = isPlain(on) ? on : Object.fromEntries(asTexts(on).map((event) => [event, null]));
  const result: Plain = {};
  const parameters: Plain = {};
  for (const [event, body] of Object.entries(events)) {
    const path = isPlain(on) ? ["on", event] : ["on"];
    const fields = asPlain(body);
    if (event === "push") pushTrigger(fields, result, draft);
    else if (event === "pull_request" || event === "pull_request_target") pullRequest(event, fields, result, draft);
    else if (event === "schedule") schedule(body, result, draft);
    else if (event === "workflow_dispatch" || event === "workflow_call") {
      Object.assign(parameters, inputsOf(asPlain(fields["inputs"]), path, draft));
      draft.exact(
        path,
        event === "workflow_call" ? "any pipeline can be called" : "any pipeline can be started by hand",
      );
    } else draft.unsupported(path, "there is no such trigger; start the run over gRPC or with kedge run submit");
  }
  return { on: result, parameters };
}

function pushTrigger(fields: Plain, result: Plain, draft: ImportDraft): void {
  const branches = [...asTexts(fields["branches"]), ...taken(fields["branches-ignore"])];
  const paths = [...asTexts(fields["paths"]), ...taken(fields["paths-ignore"])];
  const tags = [...asTexts(fields["tags"]), ...taken(fields["tags-ignore"])];
  const onlyTags = tags.length > 0 && branches.length === 0;
  if (!onlyTags) result["push"] = { ...(branches.length > 0 && { branches }), ...(paths.length > 0 && { paths }) };
  if (tags.length > 0) result["tag"] = tags;
  else if (branches.length === 0) result["tag"] = ["**"];
  draft.exact(["on", "push"], "triggers push and tag");
}

function pullRequest(event: string, fields: Plain, result: Plain, draft: ImportDraft): void {
  const branches = [...asTexts(fields["branches"]), ...taken(fields["branches-ignore"])];
  const paths = [...asTexts(fields["paths"]), ...taken(fields["paths-ignore"])];
  result["pull-request"] = { ...(branches.length > 0 && { branches }), ...(paths.length > 0 && { paths }) };
  if (fields["types"] !== undefined)
    draft.approximate(["on", event, "types"], "runs start when a pull request is opened, reopened or gets commits");
  else if (event === "pull_request_target")
    draft.approximate(["on", event], "runs of forks wait for an approval, and get no secrets before");
  else draft.exact(["on", event], "trigger pull-request");
}

function schedule(body: unknown, result: Plain, draft: ImportDraft): void {
  const entries = asList(body).map((entry) => textOf(asPlain(entry)["cron"] ?? ""));
  result["cron"] = entries.filter((it) => it !== "").map((it) => ({ schedule: it }));
  draft.exact(["on", "schedule"], "trigger cron");
}

function taken(patterns: unknown): string[] {
  return asTexts(patterns).map((pattern) => `!${pattern}`);
}

function inputsOf(inputs: Plain, path: readonly (string | number)[], draft: ImportDraft): Plain {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, body]) => {
      const { type = "string", default: standard, required, description, options } = asPlain(body);
      const known = type === "boolean" || type === "number" || type === "choice" ? type : "string";
      if (known !== type && type !== "string") draft.approximate([...path, "inputs", name], "taken as text");
      const fallback =
        required === true
          ? undefined
          : known === "boolean"
            ? false
            : known === "number"
              ? 0
              : known === "choice"
                ? asTexts(options)[0]
                : "";
      const choices = known === "choice" ? { choices: asTexts(options) } : {};
      return [
        name,
        {
          type: known,
          ...choices,
          default: standard ?? fallback,
          description: description === undefined ? undefined : textOf(description),
        },
      ];
    }),
  );
}
