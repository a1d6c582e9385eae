import { type Diagnostic, Diagnostic_Severity } from "@kedge/proto";

/** One line per diagnostic: place, field, what, hint. */
export function show(diagnostics: readonly Diagnostic[]): string[] {
  return diagnostics.map((it) => {
    const mark = it.severity === Diagnostic_Severity.WARNING ? "warning: " : "";
    return `${it.line}:${it.column} ${it.field}: ${mark}${it.message}${it.hint === "" ? "" : ` (${it.hint})`}`;
  });
}

/** A pipeline of one job with these lines in it; they start at line 4, column 5. */
export function job(...lines: string[]): string {
  return ["name: p", "jobs:", "  a:", ...lines.map((line) => `    ${line}`), ""].join("\n");
}
