/** What the files of one report say together. */
export interface ReportFigures {
  /** Metrics of the job. */
  readonly metrics: Readonly<Record<string, number>>;
  /** What is wrong, one line each; the first 20. */
  readonly troubles: readonly string[];
  /** How many there are in all. */
  readonly troubleCount: number;
  /** One line for the log. */
  readonly summary: string;
}

/** One file of a report. */
export interface ReportFile {
  readonly path: string;
  readonly text: string;
}

/** Most troubles that are named. */
export const MAX_TROUBLES = 20;

/** A file is not the report that it should be. */
export class InvalidReport extends Error {
  override readonly name = "InvalidReport";
}

/** Text of a report in one line that fits. */
export function oneLine(text: string, length = 200): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}
