import type { Axis, Matrix } from "../model/model.ts";
import type { Report } from "./report.ts";
import { literal } from "./text.ts";

const MAX_EXCLUDES = 1000;

/** The axes of a matrix with what is left out, and the variables that each combination has. */
export function matrixAxes(
  { axes = [], excludes = [], at }: Matrix,
  report: Report,
): { readonly axes: Record<string, unknown>; readonly values: ReadonlyMap<string, string> } {
  const lists = new Map(axes.map(({ name, values }) => [name, values.map(({ value }) => literal(String(value)))]));
  const left = excludes.flatMap((exclude) => combinations(exclude, lists));
  if (left.length > MAX_EXCLUDES) report.unsupported(at, "excludes", "too many combinations are left out to be listed");
  const exclude = left.length === 0 || left.length > MAX_EXCLUDES ? {} : { exclude: left };
  const values = new Map([...lists.keys()].map((name) => [name, `\${{ matrix.${name} }}`]));
  return { axes: { ...Object.fromEntries(lists), ...exclude }, values };
}

/** An exclusion names values, or all but some: each combination of them is one of kedge.yaml's. */
function combinations(
  exclude: readonly Axis[],
  lists: ReadonlyMap<string, readonly string[]>,
): Record<string, string>[] {
  let cells: Record<string, string>[] = [{}];
  for (const { name, values, inverse } of exclude) {
    const all = lists.get(name);
    if (all === undefined) return [];
    const named = values.map(({ value }) => literal(String(value)));
    const chosen = all.filter((value) => named.includes(value) !== (inverse === true));
    cells = cells.slice(0, MAX_EXCLUDES).flatMap((cell) => chosen.map((value) => ({ ...cell, [name]: value })));
  }
  return cells;
}
