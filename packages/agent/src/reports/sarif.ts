import { InvalidReport, MAX_TROUBLES, oneLine, type ReportFigures } from "./report.ts";

type Level = "error" | "warning" | "note";
type Json = Readonly<Record<string, unknown>>;

/**
 * Counts the findings of SARIF 2.1.0 files (OASIS standard, section 3.27): results that failed and are not suppressed, by the
 * level that the result gives, or its rule, or "warning".
 *
 * @throws InvalidReport.
 */
export function readSarif(texts: readonly string[]): ReportFigures {
  const count = { error: 0, warning: 0, note: 0 };
  const troubles: string[] = [];
  for (const run of texts.flatMap(runsOf)) {
    const rules = rulesOf(run);
    for (const result of objects(run["results"])) {
      const level = levelOf(result, rules);
      if (level === undefined) continue;
      count[level] += 1;
      if (troubles.length < MAX_TROUBLES) troubles.push(describe(result, level));
    }
  }
  const { error: errors, warning: warnings, note: notes } = count;
  const findings = errors + warnings + notes;
  return {
    metrics: { findings, errors, warnings, notes },
    ...{ troubles, troubleCount: findings },
    summary: `${findings} findings: ${errors} errors, ${warnings} warnings, ${notes} notes`,
  };
}

function runsOf(text: string): Json[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidReport("is not JSON");
  }
  const log = object(value);
  if (log === undefined || !Array.isArray(log["runs"])) throw new InvalidReport("has no runs: it is not SARIF");
  return objects(log["runs"]);
}

/** Levels of rules by their id and index. */
function rulesOf(run: Json): ReadonlyMap<string | number, Level | undefined> {
  const levels = new Map<string | number, Level | undefined>();
  for (const [index, rule] of objects(object(object(run["tool"])?.["driver"])?.["rules"]).entries()) {
    const level = asLevel(object(rule["defaultConfiguration"])?.["level"]);
    levels.set(index, level).set(string(rule["id"]), level);
  }
  return levels;
}

function levelOf(result: Json, rules: ReadonlyMap<string | number, Level | undefined>): Level | undefined {
  const kind = result["kind"] ?? "fail";
  if (kind !== "fail" || objects(result["suppressions"]).length > 0 || result["level"] === "none") return undefined;
  const index = result["ruleIndex"];
  const byRule = typeof index === "number" ? rules.get(index) : rules.get(string(result["ruleId"]));
  return asLevel(result["level"]) ?? byRule ?? "warning";
}

function asLevel(value: unknown): Level | undefined {
  return value === "error" || value === "warning" || value === "note" ? value : undefined;
}

function describe(result: Json, level: Level): string {
  const place = object(objects(result["locations"])[0]?.["physicalLocation"]);
  const uri = string(object(place?.["artifactLocation"])?.["uri"]);
  const line = object(place?.["region"])?.["startLine"];
  const where = typeof line === "number" ? `${uri}:${line}` : uri;
  const text = string(object(result["message"])?.["text"]) || string(result["ruleId"]);
  return oneLine(`${level}: ${where === "" ? "" : `${where}: `}${text}`);
}

function object(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function objects(value: unknown): Json[] {
  if (!Array.isArray(value)) return [];
  return value.map((item: unknown) => object(item)).filter((item) => item !== undefined);
}

function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}
