/** Bounds on what a file may hold. A file past one of them is refused with a diagnostic, never read at length. */
export const LIMITS = {
  sourceBytes: 1024 * 1024,
  jobs: 1000,
  stepsPerJob: 100,
  gangMembers: 64,
  /** Different ones that a file uses. */
  components: 50,
  parameters: 100,
  /** In a scheduling policy; of concurrency groups as well. */
  teams: 1000,
  /** Brackets, dashes, colons, scalars, blanks and line ends: each takes the parser microseconds. */
  tokens: 300_000,
  /** Values in the file after aliases and merges are expanded. */
  values: 100_000,
  depth: 64,
  diagnostics: 100,
  /** Longest name that "did you mean" is computed for. */
  hintLength: 64,
} as const;
