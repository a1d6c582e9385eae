/** How well something of the file is expressed in `kedge.yaml`. */
export type ImportFidelity = "exact" | "approximate" | "unsupported";

/** What became of one construct of the file. */
export interface ImportNote {
  readonly fidelity: ImportFidelity;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** The construct in the file's own terms, e.g. "post { unstable }" or "only:". */
  readonly construct: string;
  /** What it became, or why it could not, and what to do. */
  readonly message: string;
}

/** Something that makes the file no valid file of its kind. */
export interface ImportError {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** A file of another system as a pipeline. */
export interface ImportResult {
  /** Text of a `kedge.yaml` that compiles; undefined when there are errors. */
  readonly source?: string;
  /** In the order of the file. */
  readonly notes: readonly ImportNote[];
  readonly errors: readonly ImportError[];
}
