import { isName } from "@kedge/domain";
import { z } from "zod";
import { report, scalarText, text } from "../fields.ts";
import type { Finding, Path } from "../finding.ts";
import { quote } from "../finding.ts";
import { LIMITS } from "../limits.ts";
import { valueAt } from "../schema-findings.ts";

/** One combination of a matrix: the value of each axis, as text. */
export type Cell = Readonly<Record<string, string>>;

/** A job that stands for one combination of a matrix. */
export interface MatrixJob {
  readonly job: string;
  readonly values: Cell;
}

const MAX_NAME = 64;
const AXIS = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

const cell = z.record(text, scalarText);

/** The `matrix` of a job: axes with their values, and combinations to add and to leave out. */
export const matrixSchema = z
  .looseObject({
    include: z.array(cell).max(LIMITS.jobs).optional().meta({
      description: "Adds values to the combinations that agree with it, else a combination of its own.",
    }),
    exclude: z
      .array(cell)
      .max(LIMITS.jobs)
      .optional()
      .meta({ description: "Leaves out combinations that agree with it." }),
  })
  .catchall(z.array(scalarText).min(1).max(LIMITS.jobs))
  .superRefine((matrix, ctx) => {
    for (const axis of Object.keys(matrix)) {
      if (!AXIS.test(axis))
        report(ctx, `must be the name of an axis (letters, digits, _ and -), not ${quote(axis)}`, {
          path: [axis],
          atKey: true,
        });
    }
    if (Object.keys(matrix).length === 0) report(ctx, "must have an axis", { hint: "e.g. matrix: { node: [20, 24] }" });
  })
  .meta({ description: `One job for each combination of the axes' values, which are \${{ matrix.<axis> }} in it.` });

/** The combinations of a checked matrix, in the order of the file: the last axis changes fastest. */
export function cellsOf(matrix: z.output<typeof matrixSchema>, path: Path): { cells: Cell[]; findings: Finding[] } {
  const { include = [], exclude = [], ...axes } = matrix;
  const count = Object.values(axes).reduce((product, values) => product * values.length, 1);
  if (count > LIMITS.jobs) {
    const message = `the matrix has ${count} combinations; a pipeline has at most ${LIMITS.jobs} jobs`;
    return { cells: [], findings: [{ path, atKey: true, message, hint: "leave out values, or split the pipeline" }] };
  }
  let cells: Record<string, string>[] = Object.keys(axes).length === 0 ? [] : [{}];
  for (const [axis, values] of Object.entries(axes)) {
    cells = cells.flatMap((known) => values.map((value) => ({ ...known, [axis]: value })));
  }
  const findings = exclude.flatMap((pattern, i): Finding[] => {
    if (cells.some((it) => agrees(it, pattern, axes))) return [];
    return [
      { path: [...path, "exclude", i], warning: true, message: "leaves nothing out: no combination agrees with it" },
    ];
  });
  cells = cells.filter((it) => !exclude.some((pattern) => agrees(it, pattern, axes)));
  const added = include.flatMap((extra) => {
    const fitting = cells.filter((it) => agreesOnAxes(it, extra, axes));
    for (const known of fitting) Object.assign(known, { ...extra, ...pick(known, axes) });
    return fitting.length > 0 ? [] : [{ ...extra }];
  });
  const all = [...cells, ...added];
  if (all.length === 0) findings.push({ path, atKey: true, message: "no combination is left" });
  return { cells: all, findings };
}

function agrees(known: Cell, pattern: Cell, axes: object): boolean {
  return Object.entries(pattern).every(([axis, value]) => axis in axes && known[axis] === value);
}

function agreesOnAxes(known: Cell, extra: Cell, axes: object): boolean {
  const shared = Object.keys(extra).filter((axis) => axis in axes);
  return shared.every((axis) => known[axis] === extra[axis]);
}

function pick(known: Cell, axes: object): Cell {
  return Object.fromEntries(Object.entries(known).filter(([axis]) => axis in axes));
}

/** A name for each combination: the job's, then the values; made short and told apart by a digest where it must be. */
export function cellNames(job: string, cells: readonly Cell[]): string[] {
  const taken = new Set<string>();
  return cells.map((values) => {
    const words = Object.values(values).map((value) => value.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-"));
    const plain = [job, ...words].join("-").replaceAll(/-{2,}/g, "-").replace(/-$/, "");
    const isGood = plain.length <= MAX_NAME && isName("job", plain) && !taken.has(plain);
    const digest = fnv(JSON.stringify(values));
    const name = isGood ? plain : `${plain.slice(0, MAX_NAME - digest.length - 1).replace(/-$/, "")}-${digest}`;
    taken.add(name);
    return name;
  });
}

/** FNV-1a, 32 bits (Fowler, Noll, Vo): tells names apart, nothing more. */
function fnv(source: string): string {
  let hash = FNV_OFFSET;
  for (let i = 0; i < source.length; i++) hash = Math.imul(hash ^ source.charCodeAt(i), FNV_PRIME) >>> 0;
  return hash.toString(16).padStart(8, "0");
}

/** The matrix of a job of the file, as written; undefined when it has none. */
export function writtenMatrix(body: unknown): unknown {
  return valueAt(body, ["matrix"]);
}
