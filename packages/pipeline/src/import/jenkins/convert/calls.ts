import { nameOf } from "../../draft.ts";
import type { Expression } from "../groovy/nodes.ts";
import type { Step } from "../model/model.ts";
import { argument, entry, items, literalText } from "./arguments.ts";
import type { JobDraft } from "./draft.ts";
import type { Scope } from "./scope.ts";
import { partsOf } from "./text.ts";

/** What a `build` step calls; undefined when that takes Groovy to know. */
export function readCall({ args }: Step, scope: Scope): JobDraft["call"] {
  const name = literalText(argument(args, "job", "job"));
  const parameters = readParameters(argument(args, "parameters"), scope);
  if (name === undefined || parameters === undefined) return undefined;
  return {
    pipeline: nameOf(name.split("/").at(-1) ?? name, "pipeline", 40),
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
    ...(literalText(argument(args, "wait")) === "false" ? { detach: true } : {}),
  };
}

function readParameters(given: Expression | undefined, scope: Scope): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  for (const item of items(given)) {
    const map = item.kind === "call" ? item.args[0] : undefined;
    const name = literalText(entry(map, "name"));
    const value = scope.textOf(partsOf(entry(map, "value")));
    if (name === undefined || value === undefined) return undefined;
    parameters[name] = value;
  }
  return parameters;
}
