import type { Diagnostic, PipelineSpec } from "@kedge/proto";

/** What a compile needs beside the text. */
export interface CompileOptions {
  /** Values given for the run, as text; parsed by the type that the pipeline declares. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Name used in diagnostics; default kedge.yaml. */
  readonly file?: string;
}

/** The compiled pipeline, absent when any diagnostic is an error, and everything found, sorted by position. */
export interface CompileResult {
  readonly spec?: PipelineSpec;
  readonly diagnostics: Diagnostic[];
}

/** Checks a pipeline file without values for its parameters. Never throws. */
export function lintPipeline(source: string, file = "kedge.yaml"): Diagnostic[] {
  return compilePipeline(source, { file }).diagnostics;
}

/** Compiles a pipeline file with the parameters of one run. Never throws. */
export function compilePipeline(_source: string, _options: CompileOptions = {}): CompileResult {
  return { diagnostics: [] };
}
