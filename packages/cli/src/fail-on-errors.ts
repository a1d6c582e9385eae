import { type Diagnostic, Diagnostic_Severity } from "@kedge/proto";
import type { Output } from "./output/output.ts";
import { ExitRequest } from "./print-error.ts";

/** Prints what was found about a file; ends the command with the usage exit code when any of it is an error. */
export function failOnErrors(output: Output, diagnostics: readonly Diagnostic[]): void {
  output.diagnostics(diagnostics);
  if (diagnostics.some((diagnostic) => diagnostic.severity === Diagnostic_Severity.ERROR))
    throw new ExitRequest("usage");
}
