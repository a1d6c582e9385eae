import type { Diagnostic } from "@kedge/proto";
import type { z } from "zod";
import { bindTree } from "./bind.ts";
import { formatPath, toDiagnostics } from "./finding.ts";
import { knownKeys, schemaFindings } from "./schema-findings.ts";
import { type AsWritten, readYaml } from "./yaml-text.ts";

/** A kind of file without expressions. */
export interface PlainFile<Schema extends z.ZodType> {
  /** Name of this one, used in diagnostics. */
  readonly file: string;
  /** What such a file is called in findings. */
  readonly called: string;
  readonly asWritten: AsWritten;
  readonly schema: Schema;
}

/** Reads and checks a file without expressions; no data come with a finding, all of which are errors. Never throws. */
export function readPlainFile<Schema extends z.ZodType>(
  source: string,
  { file, called, asWritten, schema }: PlainFile<Schema>,
): { readonly data?: z.output<Schema>; readonly diagnostics: Diagnostic[] } {
  const yaml = readYaml(source, asWritten);
  if (yaml.value === undefined) return { diagnostics: toDiagnostics(yaml.findings, yaml.positions, file) };
  const bound = bindTree(yaml.value, { mode: "plain", called });
  const parsed = schema.safeParse(bound.value);
  const early = [...yaml.findings, ...bound.findings];
  const said = new Set(early.map((it) => formatPath(it.path)));
  const shape = schemaFindings(parsed.error?.issues ?? [], bound.value, (path) => knownKeys(schema, path));
  const findings = [...early, ...shape.filter((it) => !said.has(formatPath(it.path)))];
  const diagnostics = toDiagnostics(findings, yaml.positions, file);
  return parsed.success && findings.length === 0 ? { data: parsed.data, diagnostics } : { diagnostics };
}
