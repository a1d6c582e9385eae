import { InvalidReport, type ReportFigures } from "./report.ts";
import { amountOf, readXml, type XmlAttributes } from "./xml-elements.ts";

interface Share {
  covered: number;
  valid: number;
}

/**
 * Adds up the coverage of Cobertura files: by the totals that a file gives, else by its lines, else by its rates.
 *
 * @throws InvalidReport, also for a file without any figures.
 */
export function readCobertura(texts: readonly string[]): ReportFigures {
  const lines = { covered: 0, valid: 0 };
  const branches = { covered: 0, valid: 0 };
  for (const text of texts) {
    const file = readFile(text);
    add(lines, file.lines);
    add(branches, file.branches);
  }
  const metrics = {
    ...(lines.valid > 0 ? { line_coverage: lines.covered / lines.valid } : {}),
    ...(branches.valid > 0 ? { branch_coverage: branches.covered / branches.valid } : {}),
  };
  const summary = Object.entries(metrics).map(
    ([name, value]) => `${name.replace("_", " ")} ${(value * 100).toFixed(1)} %`,
  );
  return { metrics, troubles: [], troubleCount: 0, summary: summary.join(", ") };
}

function readFile(text: string): { readonly lines: Share; readonly branches: Share } {
  let totals: XmlAttributes | undefined;
  const lines = { covered: 0, valid: 0 };
  const branches = { covered: 0, valid: 0 };
  readXml(text, {
    open: (name, attributes, path) => {
      if (name === "coverage" && path.length === 1) totals = attributes;
      // The lines of methods are those of their class, told twice.
      if (name !== "line" || path.at(-3) !== "class") return;
      lines.valid += 1;
      if ((amountOf(attributes, "hits") ?? 0) > 0) lines.covered += 1;
      add(branches, conditionsOf(attributes));
    },
  });
  if (totals === undefined) throw new InvalidReport("has no coverage element: it is not of Cobertura");
  const share = {
    lines: shareOf(totals, "line", "lines", lines),
    branches: shareOf(totals, "branch", "branches", branches),
  };
  if (share.lines.valid === 0 && totals["lines-valid"] === undefined) throw new InvalidReport("has no figures");
  return share;
}

function shareOf(totals: XmlAttributes, singular: string, plural: string, counted: Share): Share {
  const covered = amountOf(totals, `${plural}-covered`);
  const valid = amountOf(totals, `${plural}-valid`);
  if (covered !== undefined && valid !== undefined && covered <= valid) return { covered, valid };
  if (counted.valid > 0) return counted;
  const rate = amountOf(totals, `${singular}-rate`);
  return rate !== undefined && rate <= 1 ? { covered: rate, valid: 1 } : { covered: 0, valid: 0 };
}

/** E.g. condition-coverage="50% (1/2)". */
function conditionsOf(attributes: XmlAttributes): Share {
  const match = /\((\d{1,9})\/(\d{1,9})\)/.exec(attributes["condition-coverage"] ?? "");
  const [covered, valid] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  return covered <= valid ? { covered, valid } : { covered: 0, valid: 0 };
}

function add(sum: Share, { covered, valid }: Share): void {
  sum.covered += covered;
  sum.valid += valid;
}
