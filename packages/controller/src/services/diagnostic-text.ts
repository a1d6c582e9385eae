import { type Diagnostic, Diagnostic_Severity } from "@kedge/proto";

/** Errors of a file as `file:line:column: message`, one a line. */
export function diagnosticText(diagnostics: readonly Diagnostic[]): string {
  return diagnostics
    .filter((diagnostic) => diagnostic.severity === Diagnostic_Severity.ERROR)
    .map(
      ({ file, line, column, message, hint }) =>
        `${file}:${line}:${column}: ${message}${hint === "" ? "" : ` (${hint})`}`,
    )
    .join("\n");
}
