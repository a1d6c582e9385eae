import type { Statement } from "../groovy/nodes.ts";
import { blockOf, namedEntries, type Reading, readText, sectionBlock } from "./match.ts";
import type { Axis, Value } from "./model.ts";
import { isIdentifier, notAnIdentifier, readOnly, repeated } from "./sections.ts";
import { readValue } from "./values.ts";

/** What to say of a `name` without a name, or with several. */
const NAME = { none: 'No argument for field "name"', many: 'Too many arguments for field "name"' } as const;

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
    const exclude = blockOf(one);
    if (exclude?.name === "exclude") return [readAxisList(one, "exclude", reading)];
    reading.problems.add(exclude === undefined ? "Expected a block for exclude" : "Expected an exclude", one.start);
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
    problems.add(axis === undefined ? "Expected a block for axis" : "Expected an axis", one.start);
    return [];
  });
  const names = axes.map((axis) => axis.name).filter((name) => name !== "");
  for (const name of repeated(names)) problems.add(`Duplicate axis name: "${name}"`, statement.start);
  return axes;
}

function readAxis(statement: Statement, isExclude: boolean, reading: Reading): Axis {
  const { problems } = reading;
  const { start: at } = statement;
  const seen = new Set<string>();
  let name = "";
  let values: readonly Value[] = [];
  let inverse: boolean | undefined;
  const entries = namedEntries(blockOf(statement)?.body.statements ?? [], reading);
  for (const { name: field, call, statement: one } of entries) {
    seen.add(field);
    if (field === "name") {
      const only = readOnly(call, NAME, reading);
      if (only !== undefined) name = readText(only, reading);
    } else if (holdsValues(field, isExclude)) {
      values = call.args.map((arg) => readValue(arg, reading));
      if (field === "notValues") inverse = true;
    } else if (field !== "error") problems.add(`Undefined section "${field}"`, one.start);
  }
  const axis: Axis = { name, values, at, ...(inverse === undefined ? {} : { inverse }) };
  checkAxis(axis, seen, reading);
  return axis;
}

function holdsValues(field: string, isExclude: boolean): boolean {
  return field === "values" || (isExclude && field === "notValues");
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
