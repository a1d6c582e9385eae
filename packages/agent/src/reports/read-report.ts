import { ReportKind } from "@kedge/proto";
import { readCobertura } from "./cobertura.ts";
import { readJunit } from "./junit.ts";
import { InvalidReport, type ReportFigures, type ReportFile } from "./report.ts";
import { readSarif } from "./sarif.ts";

const READERS: Readonly<
  Record<Exclude<ReportKind, ReportKind.UNSPECIFIED>, (texts: readonly string[]) => ReportFigures>
> = {
  [ReportKind.JUNIT]: readJunit,
  [ReportKind.COBERTURA]: readCobertura,
  [ReportKind.SARIF]: readSarif,
};

/** What the readable files of a report say, and which cannot be read and why. */
export interface ReadReport {
  readonly figures: ReportFigures | undefined;
  readonly unreadable: readonly string[];
}

/** Reads the files of a report together; one that is not what it should be does not spoil the others. */
export function readReport(
  kind: Exclude<ReportKind, ReportKind.UNSPECIFIED>,
  files: readonly ReportFile[],
): ReadReport {
  const read = READERS[kind];
  const unreadable: string[] = [];
  const good = files.filter(({ path, text }) => {
    try {
      read([text]);
      return true;
    } catch (error) {
      if (!(error instanceof InvalidReport)) throw error;
      unreadable.push(`${path} ${error.message}`);
      return false;
    }
  });
  return { figures: good.length === 0 ? undefined : read(good.map(({ text }) => text)), unreadable };
}
