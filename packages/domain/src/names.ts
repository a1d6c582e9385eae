import { KedgeError } from "./error.ts";

const NAME = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** Longest name of each kind, in characters. Nodes and deployments appear in subjects, labels and file names. */
export const MAX_NAME_LENGTH = {
  node: 40,
  deployment: 40,
  model: 40,
  pipeline: 40,
  job: 64,
  tag: 40,
  team: 40,
  gang: 40,
  group: 40,
  receiver: 40,
  repository: 40,
  flag: 64,
} as const;

/** A kind of name that has rules of its own. */
export type NameKind = keyof typeof MAX_NAME_LENGTH;

/** Tells whether a string is a legal name: lower-case letters, digits and inner dashes, within the kind's length. */
export function isName(kind: NameKind, value: string): boolean {
  return value.length <= MAX_NAME_LENGTH[kind] && NAME.test(value);
}

/**
 * Rejects an illegal name.
 *
 * @throws KedgeError INVALID_FIELD, naming `field`.
 */
export function assertName(kind: NameKind, value: string, field: string): void {
  if (isName(kind, value)) return;
  throw new KedgeError(
    "INVALID_FIELD",
    `${field}: ${JSON.stringify(value.slice(0, 80))} is not a ${kind} name (lower-case letters, digits and inner dashes, 1 to ${MAX_NAME_LENGTH[kind]} characters)`,
    { field },
  );
}

const FLAG_LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;

/**
 * Tells whether text can name a variant or rule of a feature flag, or be a split's salt: 1 to 64 letters, digits and
 * inner `.`, `_` and `-`.
 */
export function isFlagLabel(text: string): boolean {
  return FLAG_LABEL.test(text);
}

/** Names within a small edit distance of `wanted`, nearest first, for "did you mean" hints; at most three. */
export function nearNames(wanted: string, known: Iterable<string>): string[] {
  const limit = Math.max(2, Math.floor(wanted.length / 3));
  return [...known]
    .map((name) => ({ name, distance: editDistance(wanted, name) }))
    .filter((candidate) => candidate.distance <= limit || candidate.name.startsWith(wanted))
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, 3)
    .map((candidate) => candidate.name);
}

/** Levenshtein distance of two strings (Wagner and Fischer 1974, two rows). */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
