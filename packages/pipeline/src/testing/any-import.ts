import fc from "fast-check";
import { expect } from "vitest";
import type { ImportResult } from "../import/import-report.ts";

const RUNS = 150;

/** Checks that a file, however spoilt, becomes a pipeline that compiles or an error, and nothing in between. */
export function assertAnyImport(
  file: string,
  pieces: readonly string[],
  importer: (source: string) => ImportResult,
): void {
  const piece = fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 6 }));
  const edit = fc.record({ at: fc.nat(file.length), cut: fc.nat(20), insert: piece });
  const texts = fc
    .array(edit, { minLength: 1, maxLength: 5 })
    .map((edits) =>
      edits.reduce((text, { at, cut, insert }) => text.slice(0, at) + insert + text.slice(at + cut), file),
    );
  fc.assert(
    fc.property(texts, (text) => {
      const { source, errors } = importer(text);
      expect((source !== undefined) !== errors.length > 0).toBe(true);
    }),
    { numRuns: RUNS },
  );
}
