import { importGithubWorkflow } from "./github/import-github.ts";
import type { ImportResult } from "./import-report.ts";

/** Systems whose files can be imported. */
export const IMPORT_KINDS = ["github"] as const;

/** One of IMPORT_KINDS. */
export type ImportKind = (typeof IMPORT_KINDS)[number];

const IMPORTERS: Readonly<Record<ImportKind, (source: string) => ImportResult>> = {
  github: importGithubWorkflow,
};

/** What a file is, by its path and its text; undefined when neither tells. */
export function importKindOf(path: string, source: string): ImportKind | undefined {
  if (/(?:^|\/)\.github\/workflows\/[^/]+\.ya?ml$/.test(path)) return "github";
  return /^(?:on|["']on["']|true):/m.test(source) && /^jobs:/m.test(source) ? "github" : undefined;
}

/** A file of another system as a pipeline, with a report. Never throws. */
export function importFile(source: string, kind: ImportKind): ImportResult {
  return IMPORTERS[kind](source);
}
