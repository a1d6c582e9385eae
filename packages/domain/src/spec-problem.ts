import { KedgeError } from "./error.ts";

/** Something that is wrong with a spec, whoever wrote it. */
export interface SpecProblem {
  /** Names of protobuf fields and indexes, from what was checked. */
  readonly path: readonly (string | number)[];
  /** Reads on from the field. */
  readonly message: string;
  /** What to do. */
  readonly hint?: string;
}

/** A path as the API names it: strategy.canary.steps[1].weight_percent. */
export function fieldOf(path: SpecProblem["path"]): string {
  return path.map((part, i) => (typeof part === "number" ? `[${part}]` : `${i > 0 ? "." : ""}${part}`)).join("");
}

/**
 * Refuses a spec for the first of its problems.
 *
 * @throws KedgeError INVALID_FIELD, naming the field, with a hint where there is one.
 */
export function assertNoProblems(problems: readonly SpecProblem[]): void {
  const [first] = problems;
  if (first === undefined) return;
  const field = fieldOf(first.path);
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  throw new KedgeError("INVALID_FIELD", `${field}: ${first.message}${more}`, {
    field,
    ...(first.hint === undefined ? {} : { hint: first.hint }),
  });
}
