import type { Statement } from "../groovy/nodes.ts";
import { blockOf, callOf, matchName, type Reading, readText, sectionBlock } from "./match.ts";
import type { Axis, Value } from "./model.ts";
import { isIdentifier, notAnIdentifier, repeated } from "./sections.ts";
import { readValue } from "./values.ts";

/** The `axes` of a matrix. */
export function readAxes(statement: Statement, reading: Reading): readonly Axis[] {
  return readAxisList(statement, "axes", reading);
}

/** The `excludes` of a matrix: each a list of axes that must all agree. */
export function readExcludes(statement: Statement, reading: Reading): readonly (readonly Axis[])[] {
  const block = sectionBlock(statement, "excludes", reading);
  if (block === undefined) return [];
  if (block.statements.length === 0) reading.problems.add("No exclude directives specified", statement.start);
  return block.statements.flatMap((one): (readonly Axis[])[] => {
    if (blockOf(one)?.name === "exclude") return [readAxisList(one, "exclude", reading)];
    reading.problems.add("Expected an exclude", one.start);
    return [];
  });
}

function readAxisList(statement: Statement, section: "axes" | "exclude", reading: Reading): readonly Axis[] {
  const { problems } = reading;
  const block = sectionBlock(statement, section, reading);
  if (block === undefined) return [];
  if (block.statements.length === 0) problems.add("No axis directives specified", statement.start);
  const axes = block.statements.flatMap((one): Axis[] => {
    const axis = blockOf(one);
    if (axis?.name === "axis") return [readAxis(one, section === "exclude", reading)];
    problems.add("Expected an axis", one.start);
    return [];
  });
  for (const name of repeated(axes.map((axis) => axis.name)))
    problems.add(`Duplicate axis name: "${name}"`, statement.start);
  return axes;
}

function readAxis(statement: Statement, isExclude: boolean, reading: Reading): Axis {
  const { problems } = reading;
  const { start: at } = statement;
  const seen = new Set<string>();
  let name = "";
  let values: readonly Value[] = [];
  let inverse: boolean | undefined;
  for (const one of blockOf(statement)?.body.statements ?? []) {
    const call = callOf(one);
    const field = call === undefined ? undefined : matchName(call);
    if (field !== undefined && seen.has(field)) problems.add(`Multiple occurrences of the ${field} section`, one.start);
    if (call === undefined || field === undefined || !isAxisField(field, isExclude)) {
      const allowed = isExclude ? '"name", "values" or "notValues"' : '"name" or "values"';
      problems.add(`Expected ${allowed} in an axis`, one.start);
      continue;
    }
    seen.add(field);
    const [only] = call.args;
    if (field !== "name") {
      values = call.args.map((arg) => readValue(arg, reading));
      if (field === "notValues") inverse = true;
    } else if (call.args.length === 1 && only !== undefined) name = readText(only, reading);
    else problems.add("Expected one name for an axis", one.start);
  }
  const axis: Axis = { name, values, at, ...(inverse === undefined ? {} : { inverse }) };
  checkAxis(axis, seen, reading);
  return axis;
}

function isAxisField(field: string, isExclude: boolean): boolean {
  return field === "name" || field === "values" || (isExclude && field === "notValues");
}

function checkAxis({ name, values, at }: Axis, seen: ReadonlySet<string>, { problems }: Reading): void {
  if (!seen.has("name")) problems.add('Missing required section "name"', at);
  else if (!isIdentifier(name)) problems.add(notAnIdentifier(name), at);
  if (seen.has("values") && seen.has("notValues")) problems.add('Only one of "values" and "notValues" is allowed', at);
  if (values.length === 0) problems.add('Missing required section "values"', at);
  for (const value of values) {
    if (!value.isLiteral || value.value === null)
      problems.add(`Expected string literal but got ${value.value}`, value.at);
  }
  for (const value of repeated(values.map((it) => String(it.value))))
    problems.add(`Duplicate axis value: "${value}"`, at);
}
