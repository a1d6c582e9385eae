import { stringify } from "yaml";
import { formatPath, type Path, type Positions } from "../finding.ts";
import { compilePipeline } from "../pipeline-compile.ts";
import type { ImportFidelity, ImportNote, ImportResult } from "./import-report.ts";

/** A mapping or list of the file that is read, or of the one that is written. */
export type Plain = Record<string, unknown>;

const MAX_NAME = 64;
const LINE_WIDTH = 110;
/** Keys that mean something without a value. */
const KEPT_EMPTY: ReadonlySet<string> = new Set(["push", "pull-request", "needs"]);

/** Gathers what became of each construct of a file. */
export class ImportDraft {
  readonly #notes: ImportNote[] = [];
  readonly #positions: Positions;

  constructor(positions: Positions) {
    this.#positions = positions;
  }

  /** Says what became of what stands at a path; the construct is named by the path unless told. */
  note(fidelity: ImportFidelity, path: Path, message: string, construct = formatPath(path)): void {
    const place = this.#positions.lineAndColumn(this.#positions.locate(path, true));
    this.#notes.push({ fidelity, ...place, construct, message });
  }

  exact(path: Path, message: string): void {
    this.note("exact", path, message);
  }

  approximate(path: Path, message: string): void {
    this.note("approximate", path, message);
  }

  unsupported(path: Path, message: string): void {
    this.note("unsupported", path, message);
  }

  /**
   * The result, with the pipeline as text. What would not compile is said as an error, at the beginning of the file: it is a
   * fault of the importer.
   */
  finish(pipeline: Plain, comment: string): ImportResult {
    const source = `# ${comment}\n${stringify(tidy(pipeline), { lineWidth: LINE_WIDTH, aliasDuplicateObjects: false })}`;
    const notes = this.#notes.toSorted((a, b) => a.line - b.line || a.column - b.column);
    const { spec, diagnostics } = compilePipeline(source, { parameters: requiredParameters(pipeline) });
    if (spec !== undefined) return { source, notes, errors: [] };
    const errors = diagnostics.map(({ field, message }) => ({ line: 1, column: 1, message: `${field}: ${message}` }));
    return { notes, errors };
  }
}

function requiredParameters(pipeline: Plain): Record<string, string> {
  const declared = Object.entries(asPlain(pipeline["parameters"]));
  return Object.fromEntries(
    declared.flatMap(([name, body]): [string, string][] => {
      const { type, default: standard } = asPlain(body);
      return standard === undefined ? [[name, type === "number" ? "1" : type === "boolean" ? "true" : "x"]] : [];
    }),
  );
}

/** Without undefined values, empty lists and empty mappings. */
function tidy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(tidy);
  if (!isPlain(value)) return value;
  const entries = Object.entries(value).flatMap(([key, item]): [string, unknown][] => {
    const kept = tidy(item);
    const isEmpty =
      kept === undefined ||
      (Array.isArray(kept) && kept.length === 0) ||
      (isPlain(kept) && Object.keys(kept).length === 0);
    return isEmpty && !KEPT_EMPTY.has(key) ? [] : [[key, kept]];
  });
  return Object.fromEntries(entries);
}

/** Tells whether something is a mapping. */
export function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The mapping, or an empty one. */
export function asPlain(value: unknown): Plain {
  return isPlain(value) ? value : {};
}

/** The list; of something else a list of it, of nothing an empty one. */
export function asList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return value === undefined || value === null ? [] : [value];
}

/** A scalar as text; a mapping or list is none. */
export function textOf(value: unknown): string {
  return typeof value === "object" && value !== null ? "" : String(value);
}

/** A scalar as a number; NaN when it is none. A mapping has no text: turned into a number it throws. */
export function numberOf(value: unknown): number {
  const text = textOf(value ?? "");
  return text === "" ? Number.NaN : Number(text);
}

/** As the texts of a list of scalars. */
export function asTexts(value: unknown): string[] {
  return asList(value)
    .filter((it) => typeof it !== "object")
    .map(String);
}

/** A legal name out of any text: what is no lower-case letter or digit becomes a dash. Not unique. */
export function nameOf(text: string, fallback: string, length = MAX_NAME): string {
  const slug = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, length)
    .replaceAll(/^-+|-+$/g, "");
  return slug === "" ? fallback : slug;
}

/** Legal, different names for the keys of a mapping, in its order. */
export function namesOf(keys: readonly string[], maxLength = MAX_NAME): Map<string, string> {
  const taken = new Set<string>();
  const names = new Map<string, string>();
  for (const key of keys) {
    const base = nameOf(key, "job")
      .slice(0, maxLength - 4)
      .replace(/-+$/, "");
    let name = base;
    for (let i = 2; taken.has(name); i++) name = `${base}-${i}`;
    taken.add(name);
    names.set(key, name);
  }
  return names;
}

/** A step that fails and says what has to be ported by hand: neither run nor skipped by mistake. */
export function portStep(what: string, name = what): Plain {
  const shown = what
    .slice(0, 200)
    .replaceAll(/[\r\n\0]/g, " ")
    .replaceAll("'", "'\\''");
  return { name: `port ${literal(name).slice(0, 80)}`, run: `echo 'to be ported: ${literal(shown)}' >&2\nexit 1` };
}

/** Text that a pipeline takes literally, whatever it holds. */
export function literal(text: string): string {
  return text.replaceAll("${{", () => "$${{");
}
