import { layOutSlots, POINTS, type PointRange } from "./choice-table.ts";
import { matchPattern, valuePattern } from "./header-pattern.ts";
import type { RouteRules } from "./route-rules.ts";

/** Key and value of an entry of one of HAProxy's maps. */
export type TableEntry = readonly [key: string, value: string];

/** A backend's maps, in the order of a table's entries; all empty when HAProxy balances on its own. */
export interface BackendTables {
  /** Ranges of points → server, epoch, and what kind of request it is: "e3:17", "e3:17:m". */
  readonly choices: readonly TableEntry[];
  /** Patterns over the headers → number of points that lead to the choices of a rule. */
  readonly rules: readonly TableEntry[];
  /** Pattern that finds the user → salt and user. */
  readonly keys: readonly TableEntry[];
}

export const TABLE_NAMES = ["choices", "rules", "keys"] as const satisfies readonly (keyof BackendTables)[];

/** Of a backend that serves nothing, or one revision to everybody. */
export const NO_TABLES: BackendTables = { choices: [], rules: [], keys: [] };

/** Points from which on the slots of the mirrored revision are found. */
export const MIRROR_BASE = 1_000_000_000;
/** Leads to no choice at all. */
const NOWHERE = 2_000_000_000;
/** Finds requests for a preview of any revision. */
const PREVIEW = "(?:^|\\n)kedge-revision:";
const POINTS_PER_BASIS_POINT = POINTS / 10_000;

/** What tables are made from. */
export interface TableSource {
  readonly epoch: number;
  readonly ranges: readonly PointRange[];
  readonly slots: ReadonlyMap<number, readonly number[]>;
  readonly rules: RouteRules;
}

/** Maps that realise a split and its rules. Pure. */
export function backendTables(source: TableSource): BackendTables {
  const { epoch, ranges, slots, rules } = source;
  const { matches, sticky, mirrors, previewRevision } = rules;
  const targets = new RuleTargets(source);
  const patterns: TableEntry[] = [];
  if (previewRevision > 0) {
    const base = targets.base(previewRevision, "p");
    if (base !== undefined) patterns.push([`${PREVIEW}\\x20${previewRevision}\\r`, String(base)]);
    patterns.push([PREVIEW, String(NOWHERE)]);
  }
  for (const { match, revision } of matches) {
    const base = targets.base(revision, "m");
    if (match === undefined || base === undefined) continue;
    for (const value of match.values) patterns.push([matchPattern(match, value), String(base)]);
  }
  const copies = mirrorRanges(mirrors, slots);
  return {
    choices: [...entries(ranges, epoch, ""), ...targets.entries, ...entries(copies, epoch, ":s")],
    rules: patterns,
    keys: sticky ? [[valuePattern(sticky.key), `${sticky.salt}\\1`]] : [],
  };
}

/** One stretch after the other, so that a request is copied once at most. */
function mirrorRanges(mirrors: RouteRules["mirrors"], slots: TableSource["slots"]): PointRange[] {
  let from = MIRROR_BASE;
  return mirrors.flatMap(({ revision, basisPoints }) => {
    const to = from + basisPoints * POINTS_PER_BASIS_POINT;
    const ranges = layOutSlots(from, to, slots.get(revision) ?? []);
    from = to;
    return ranges;
  });
}

/** Letters that tell the backend's rules, by the route map, what there is to do: choose, match, preview, key, duplicate. */
export function tableFlags({ choices, rules, keys }: BackendTables): string {
  if (choices.length === 0) return "";
  const mirrors = choices.some(([, value]) => value.endsWith(":s"));
  const previews = rules.some(([pattern]) => pattern === PREVIEW);
  return `c${rules.length > 0 ? "m" : ""}${previews ? "p" : ""}${keys.length > 0 ? "k" : ""}${mirrors ? "d" : ""}`;
}

/** Gives every revision that rules lead to a stretch of points of its own. */
class RuleTargets {
  readonly entries: TableEntry[] = [];
  readonly #source: TableSource;
  readonly #bases = new Map<string, number>();

  constructor(source: TableSource) {
    this.#source = source;
  }

  /** Undefined when the revision has no replica here. */
  base(revision: number, kind: "m" | "p"): number | undefined {
    const slots = this.#source.slots.get(revision) ?? [];
    if (slots.length === 0) return undefined;
    const key = `${revision}${kind}`;
    const known = this.#bases.get(key);
    if (known !== undefined) return known;
    const base = (this.#bases.size + 1) * POINTS;
    this.#bases.set(key, base);
    this.entries.push(...entries(layOutSlots(base, base + POINTS, slots), this.#source.epoch, `:${kind}`));
    return base;
  }
}

function entries(ranges: readonly PointRange[], epoch: number, kind: string): TableEntry[] {
  return ranges.map(({ from, to, slot }) => [`${from}:${to - 1}`, `e${slot}:${epoch}${kind}`]);
}
