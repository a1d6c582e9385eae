/** A version number, taken apart. */
export interface Semver {
  readonly numbers: readonly number[];
  /** Identifiers of a version before the release; empty: the release. */
  readonly early: readonly (string | number)[];
}

const NUMBER = "(0|[1-9]\\d{0,14})";
const FORM = new RegExp(
  `^v?${NUMBER}(?:\\.${NUMBER})?(?:\\.${NUMBER})?(?:-([0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*))?(?:\\+[0-9A-Za-z.-]+)?$`,
);
const MAX_LENGTH = 256;

/** Reads a version of Semantic Versioning 2.0.0. A leading v is passed over, missing numbers are 0. */
export function parseSemver(text: string): Semver | undefined {
  const match = text.length > MAX_LENGTH ? null : FORM.exec(text);
  if (match === null) return undefined;
  const numbers = [match[1], match[2], match[3]].map((part) => Number(part ?? 0));
  const early = (match[4]?.split(".") ?? []).map((part) => (/^\d{1,15}$/.test(part) ? Number(part) : part));
  return { numbers, early };
}

/** Order of precedence (semver.org, item 11): negative when `a` comes first, 0 when neither does. */
export function compareSemver(a: Semver, b: Semver): number {
  for (const [i, number] of a.numbers.entries()) {
    const difference = number - (b.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  if (a.early.length === 0 || b.early.length === 0) return b.early.length - a.early.length;
  for (const [i, part] of a.early.entries()) {
    const other = b.early[i];
    if (other === undefined) return 1;
    const difference = compareParts(part, other);
    if (difference !== 0) return difference;
  }
  return a.early.length - b.early.length;
}

function compareParts(a: string | number, b: string | number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
