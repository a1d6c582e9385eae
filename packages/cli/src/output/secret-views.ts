import { timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import type { Secret } from "@kedge/proto";
import type { Table } from "./table.ts";
import { formatSpan } from "./text.ts";

const anywhere = (patterns: readonly string[] = []): string => patterns.join(" ") || "any";

/** Secrets, one a row, without what they hold. */
export function secretTable(secrets: readonly Secret[]): Table {
  return {
    columns: ["SECRET", "VERSION", "PIPELINES", "ENVIRONMENTS", "BRANCHES", "SET BY", "AGE", "MASKED"],
    rows: secrets.map(({ name, version, scope, updatedBy, updatedAt, unmasked }) => [
      name,
      String(version),
      anywhere(scope?.pipelines),
      anywhere(scope?.environments),
      anywhere(scope?.branches),
      updatedBy,
      updatedAt === undefined ? "-" : formatSpan(systemClock.now() - timestampMs(updatedAt)),
      unmasked ? "no, too short" : "yes",
    ]),
  };
}
