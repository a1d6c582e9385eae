import { type SpecProblem, strategyProblems } from "@kedge/domain";
import type { z } from "zod";
import { compileAnalysis } from "./analysis-compile.ts";
import type { AnalysisFields } from "./analysis-schema.ts";
import { report } from "./fields.ts";
import { valueAt } from "./schema-findings.ts";
import { compileStrategy } from "./strategy-compile.ts";
import type { StrategyFields } from "./strategy-schema.ts";

/** What a deployment file says of its rollouts. */
export interface RolloutFields extends StrategyFields {
  readonly "replicas-per-node"?: number | undefined;
  readonly analysis?: AnalysisFields | undefined;
}

/** Keys of the file that stand for a field of the API, where it is not the same name with dashes. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  weight_percent: ["weight"],
  node_selector: ["on"],
  source: ["header", "cookie"],
  name: ["name", "header", "cookie"],
  values: ["values", "prefixes"],
  mirror_percent: ["mirror"],
  max_differing_basis_points: ["max-differing-percent"],
  seconds: ["time"],
  worse_when: ["worse"],
  upper: ["between"],
  scale_down_delay_seconds: ["scale-down-delay"],
};

/** Reports what the API would refuse a strategy for, at the place in the file. Only for fields that are well-formed. */
export function checkStrategy(fields: RolloutFields, ctx: z.RefinementCtx): void {
  const problems = strategyProblems({
    strategy: compileStrategy(fields),
    analysis: compileAnalysis(fields.analysis),
    scale: fields["replicas-per-node"] === undefined ? { case: undefined } : { case: "replicasPerNode", value: 1 },
  });
  for (const { path, message, hint } of problems) {
    const place = { path: pathInFile(fields, path), ...(hint === undefined ? {} : { hint: inFileWords(hint) }) };
    report(ctx, inFileWords(message), place);
  }
}

/** Names of the API as the file writes them. */
function inFileWords(text: string): string {
  return text.replaceAll(/\b[a-z]+(?:_[a-z]+)+\b/g, (name) => name.replaceAll("_", "-"));
}

/** As far down as the file says anything of its own. */
function pathInFile(fields: RolloutFields, path: SpecProblem["path"]): (string | number)[] {
  const found: (string | number)[] = [];
  for (const part of path[0] === "strategy" ? path.slice(1) : path) {
    const names = typeof part === "number" ? [part] : (KEYS[part] ?? [part.replaceAll("_", "-")]);
    const key = names.find((name) => valueAt(fields, [...found, name]) !== undefined);
    // The key of a match is written in the match itself.
    if (key === undefined && part === "key") continue;
    if (key === undefined) break;
    found.push(key);
  }
  return found;
}
