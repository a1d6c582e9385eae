import { create } from "@bufbuild/protobuf";
import { nearNames } from "@kedge/domain";
import { type Diagnostic, Diagnostic_Severity, DiagnosticSchema } from "@kedge/proto";
import { LIMITS } from "./limits.ts";

/** Keys and indexes from the root of a file to a value. */
export type Path = readonly (string | number)[];

/** Something to say about one place of a file, before the place is turned into line and column. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
  /** Point at the key instead of the value. */
  readonly atKey?: boolean;
  readonly warning?: boolean;
  /** Other places that it is about as well: it is not known when the value of one of them is not. */
  readonly others?: readonly Path[];
  /** Computed only for findings that are reported. */
  readonly hint?: string | (() => string | undefined);
  /** Known place in the text, when it is not that of `path`. */
  readonly offset?: number;
}

/** Turns paths and offsets of one file into lines and columns from 1. */
export interface Positions {
  locate(path: Path, atKey: boolean): number;
  lineAndColumn(offset: number): { readonly line: number; readonly column: number };
}

/** The findings as diagnostics, sorted by position; the rest beyond LIMITS.diagnostics is only counted. */
export function toDiagnostics(findings: readonly Finding[], positions: Positions, file: string): Diagnostic[] {
  const placed = findings
    .map((finding) => ({ finding, offset: finding.offset ?? positions.locate(finding.path, finding.atKey ?? false) }))
    .sort((a, b) => a.offset - b.offset);
  const shown = placed
    .slice(0, LIMITS.diagnostics)
    .map(({ finding, offset }) => toDiagnostic(finding, offset, positions, file));
  const cut = placed[LIMITS.diagnostics];
  if (cut !== undefined) {
    const message = `${placed.length - LIMITS.diagnostics} more findings are not shown`;
    shown.push(toDiagnostic({ path: [], message }, cut.offset, positions, file));
  }
  return shown;
}

function toDiagnostic(finding: Finding, offset: number, positions: Positions, file: string): Diagnostic {
  return create(DiagnosticSchema, {
    severity: finding.warning ? Diagnostic_Severity.WARNING : Diagnostic_Severity.ERROR,
    file,
    ...positions.lineAndColumn(offset),
    field: formatPath(finding.path),
    message: finding.message,
    hint: (typeof finding.hint === "function" ? finding.hint() : finding.hint) ?? "",
  });
}

/** A path as people write it: jobs.test.steps[0].run. */
export function formatPath(path: Path): string {
  return path.map((part, i) => (typeof part === "number" ? `[${part}]` : `${i > 0 ? "." : ""}${clip(part)}`)).join("");
}

/** "did you mean ...", or what there is to choose from. */
export function nearHint(wanted: string, known: Iterable<string>): string | undefined {
  const names = [...known];
  if (wanted.length <= LIMITS.hintLength) {
    const reach = Math.max(2, wanted.length / 3);
    const near = nearNames(
      wanted,
      names.filter((name) => Math.abs(name.length - wanted.length) <= reach || name.startsWith(wanted)),
    );
    if (near.length > 0) return `did you mean ${near.map(quote).join(" or ")}?`;
  }
  return names.length > 0 && names.length <= 40 ? `known are ${names.join(", ")}` : undefined;
}

/** A value as it is shown in a message: one line, at most 60 characters. */
export function quote(value: unknown): string {
  return JSON.stringify(typeof value === "string" ? clip(value) : value) ?? "nothing";
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
