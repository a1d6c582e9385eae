import { bindTree } from "../bind.ts";
import { type Finding, nearHint, type Path, quote } from "../finding.ts";
import type { BoundParameter } from "../parameters.ts";
import { scalarAsText, schemaFindings, valueAt } from "../schema-findings.ts";
import { type Component, stepsOfComponent } from "./component.ts";
import { cellNames, cellsOf, type MatrixJob, matrixSchema, writtenMatrix } from "./matrix.ts";
import { Origins } from "./origins.ts";

type Plain = Record<string, unknown>;

/** A pipeline file without short forms: a job for each combination, steps in place of components, needs for stages. */
export interface Expanded {
  readonly value: unknown;
  readonly findings: Finding[];
  readonly origins: Origins;
  /** By name of the job. */
  readonly cells: ReadonlyMap<string, MatrixJob>;
  /** Names of parameters that matrices use. */
  readonly used: ReadonlySet<string>;
}

/** What short forms stand for. */
export interface ExpandOptions {
  readonly parameters: ReadonlyMap<string, BoundParameter>;
  /** By "<name>@sha256:<digest>"; undefined when nobody looked, as an editor. */
  readonly components: ReadonlyMap<string, Component> | undefined;
}

/** Replaces the short forms of a file by what they stand for. Never throws, whatever the value is. */
export function expand(root: unknown, options: ExpandOptions): Expanded {
  const jobs = valueAt(root, ["jobs"]);
  const findings: Finding[] = [];
  const origins = new Origins();
  const cells = new Map<string, MatrixJob>();
  const used = new Set<string>();
  if (!isPlain(root) || !isPlain(jobs)) return { value: root, findings, origins, cells, used };
  const staged = needsOfStages(root["stages"], jobs, findings);
  const groups = new Map<string, readonly string[]>();
  const bodies: [string, unknown][] = [];
  for (const [job, body] of Object.entries(staged)) {
    const known = matrixOf(job, body, options.parameters);
    if (known === undefined) {
      findings.push(...matrixKeyFindings(job, body));
      bodies.push([job, body]);
      continue;
    }
    findings.push(...known.findings);
    for (const name of known.used) used.add(name);
    const names = known.cells.length === 0 ? [job] : cellNames(job, known.cells);
    groups.set(job, names);
    for (const [i, name] of names.entries()) {
      origins.setJob(name, job);
      cells.set(name, { job, values: known.cells[i] ?? placeholders(body) });
      bodies.push([name, without(body, "matrix")]);
    }
  }
  const expanded: Plain = Object.create(null);
  const names = new Set(bodies.map(([job]) => job));
  for (const [job, body] of bodies) {
    if (job in expanded)
      findings.push({
        path: ["jobs", job],
        atKey: true,
        message: `a combination of a matrix is called ${quote(job)} as well`,
      });
    expanded[job] = expandJob(job, body, { ...options, groups, names, origins, findings });
  }
  return { value: { ...root, jobs: expanded }, findings, origins, cells, used };
}

/** Keys that say how the jobs of a matrix go together. */
function matrixKeyFindings(job: string, body: unknown): Finding[] {
  return ["fail-fast", "max-parallel"].flatMap((key): Finding[] => {
    if (valueAt(body, [key]) === undefined) return [];
    const message = `${key} does nothing: the job has no matrix`;
    return [{ path: ["jobs", job, key], atKey: true, warning: true, message }];
  });
}

interface JobContext extends ExpandOptions {
  readonly groups: ReadonlyMap<string, readonly string[]>;
  readonly names: ReadonlySet<string>;
  readonly origins: Origins;
  readonly findings: Finding[];
}

function expandJob(job: string, body: unknown, context: JobContext): unknown {
  if (!isPlain(body)) return body;
  const path = ["jobs", job];
  const result: Plain = { ...body };
  if (Array.isArray(body["needs"])) result["needs"] = expandNames(body["needs"], [...path, "needs"], context);
  if (Array.isArray(body["inputs"])) result["inputs"] = expandNames(body["inputs"], [...path, "inputs"], context);
  if (Array.isArray(body["steps"])) result["steps"] = expandSteps(body["steps"], [...path, "steps"], context);
  const post = body["post"];
  if (isPlain(post)) {
    const lists = Object.entries(post).map(([on, steps]): [string, unknown] => [
      on,
      Array.isArray(steps) ? expandSteps(steps, [...path, "post", on], context) : steps,
    ]);
    result["post"] = Object.fromEntries(lists);
  }
  return result;
}

/**
 * Names of a matrix's job become those of its combinations; items are names, or mappings with `job`. Optional ones of jobs that
 * are not there go.
 */
function expandNames(items: readonly unknown[], path: Path, { groups, names, origins }: JobContext): unknown[] {
  const indices: number[] = [];
  const expanded = items.flatMap((item, i) => {
    const name = isPlain(item) ? item["job"] : item;
    const cells = typeof name === "string" ? groups.get(name) : undefined;
    const isGone = isPlain(item) && item["optional"] === true && cells === undefined && !names.has(scalarAsText(name));
    const found = isGone ? [] : (cells?.map((cell) => (isPlain(item) ? { ...item, job: cell } : cell)) ?? [item]);
    for (const _ of found) indices.push(i);
    return found;
  });
  origins.setList(path, indices);
  return expanded;
}

function expandSteps(steps: readonly unknown[], path: Path, context: JobContext): unknown[] {
  const indices: number[] = [];
  const expanded = steps.flatMap((step, i) => {
    const found = isPlain(step) && "use" in step ? componentSteps(step, [...path, i], context) : [step];
    for (const _ of found) indices.push(i);
    return found;
  });
  context.origins.setList(path, indices);
  return expanded;
}

function componentSteps(step: Plain, path: Path, { components, findings }: JobContext): readonly unknown[] {
  const { use, with: given, name, ...rest } = step;
  const [unknownKey] = Object.keys(rest);
  const say = (finding: Omit<Finding, "path">, ...below: string[]): readonly unknown[] => {
    findings.push({ path: [...path, ...below], ...finding });
    return [];
  };
  if (unknownKey !== undefined)
    return say(
      { atKey: true, message: `${unknownKey} cannot stand beside use`, hint: "there are with and name" },
      unknownKey,
    );
  if (typeof use !== "string" || !/^[a-z0-9-]{1,40}@sha256:[0-9a-f]{64}$/.test(use)) {
    return say(
      { message: `must be <component>@sha256:<digest>, not ${quote(use)}`, hint: "kedge component list shows both" },
      "use",
    );
  }
  if (components === undefined) {
    say({ warning: true, message: `the component ${quote(use)} was not looked up` }, "use");
    return [standIn(given)];
  }
  const component = components.get(use);
  if (component === undefined) {
    const hint = () => nearHint(use, components.keys()) ?? "push it first: kedge component push FILE";
    return say({ message: `no component is called ${quote(use)} here`, hint }, "use");
  }
  const inputs = given ?? {};
  if (!isPlain(inputs)) return say({ message: `must be a mapping of inputs, not ${quote(inputs)}` }, "with");
  const [broken] = Object.entries(inputs).find(([, value]) => typeof value === "object") ?? [];
  if (broken !== undefined) return say({ message: "must be a text, a number, true or false" }, "with", broken);
  const { steps, findings: own } = stepsOfComponent(component, inputs, [...path, "with"]);
  findings.push(...own);
  const label = typeof name === "string" ? name : component.name;
  return steps.map((inner, i) => named(inner, `${label}-${i + 1}`, use));
}

/** A step in place of a component that nobody looked up: what its inputs refer to is checked all the same. */
function standIn(given: unknown): Plain {
  const inputs = isPlain(given) ? Object.values(given) : [];
  return { run: { command: ["true", ...inputs.filter((value) => typeof value === "string" && value !== "")] } };
}

/** A component's step under a name that cannot meet another one's. */
function named(step: unknown, name: string, component: string): unknown {
  const plain: Plain = isPlain(step) ? step : { checkout: null };
  const own = plain["name"];
  return { ...plain, name: typeof own === "string" ? `${name} ${own}` : name, component };
}

/** The matrix of a job with its parameters filled; undefined when it has none. */
function matrixOf(job: string, body: unknown, parameters: ReadonlyMap<string, BoundParameter>) {
  const written = writtenMatrix(body);
  if (written === undefined) return undefined;
  const path = ["jobs", job, "matrix"];
  const holder = { jobs: { [job]: { matrix: written } } };
  const tree = bindTree(holder, { mode: "pipeline", parameters, cells: new Map() });
  const parsed = matrixSchema.safeParse(valueAt(tree.value, path));
  if (!parsed.success) {
    const shape = schemaFindings(parsed.error.issues, valueAt(tree.value, path), () => ["include", "exclude"]);
    return {
      cells: [],
      used: tree.used,
      findings: [...tree.findings, ...shape.map((it) => ({ ...it, path: [...path, ...it.path] }))],
    };
  }
  const { cells, findings } = cellsOf(parsed.data, path);
  const late = tree.references.map(({ path: at }) => ({
    path: at,
    message: "a matrix must be known before the run starts",
  }));
  return { cells, used: tree.used, findings: [...tree.findings, ...late, ...findings] };
}

/** Gives each job that has a stage and no needs those of the stage before. */
function needsOfStages(stages: unknown, jobs: Plain, findings: Finding[]): Plain {
  const order = Array.isArray(stages) ? stages.filter((it): it is string => typeof it === "string") : [];
  const members = new Map<string, string[]>(order.map((stage) => [stage, []]));
  for (const [job, body] of Object.entries(jobs)) {
    const stage = valueAt(body, ["stage"]);
    if (stage === undefined && order.length === 0) continue;
    const list = typeof stage === "string" ? members.get(stage) : undefined;
    if (list !== undefined) list.push(job);
    else if (stage === undefined)
      findings.push({
        path: ["jobs", job],
        atKey: true,
        message: "a stage is required where there are stages",
        hint: `one of ${order.join(", ")}`,
      });
    else
      findings.push({
        path: ["jobs", job, "stage"],
        message: `no stage is called ${quote(stage)}`,
        hint:
          order.length > 0
            ? (nearHint(scalarAsText(stage), order) ?? "")
            : "list them at the top: stages: [build, test]",
      });
  }
  const result: Plain = Object.create(null);
  for (const [job, body] of Object.entries(jobs)) {
    const at = order.indexOf(scalarAsText(valueAt(body, ["stage"])));
    const before = order.slice(0, Math.max(0, at)).findLast((stage) => (members.get(stage) ?? []).length > 0);
    const needs = before === undefined ? undefined : members.get(before);
    result[job] = isPlain(body) && body["needs"] === undefined && needs !== undefined ? { ...body, needs } : body;
  }
  return result;
}

/** Values of a matrix that is not sound, so that the rest of the job can be looked at. */
function placeholders(body: unknown): Record<string, string> {
  const axes = Object.keys(Object(writtenMatrix(body)));
  return Object.fromEntries(axes.map((axis) => [axis, "1"]));
}

function without(body: unknown, key: string): unknown {
  if (!isPlain(body)) return body;
  const { [key]: _, ...rest } = body;
  return rest;
}

function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
