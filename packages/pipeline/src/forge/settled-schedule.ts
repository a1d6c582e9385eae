const RANGES = [
  { low: 0, high: 59 },
  { low: 0, high: 23 },
  // Every month has these days.
  { low: 1, high: 28 },
  { low: 1, high: 12 },
  { low: 0, high: 6 },
] as const;

const HASHED = /^H(?:\((\d{1,2})-(\d{1,2})\))?(?:\/(\d{1,2}))?$/;

/**
 * A cron schedule without `H`: each is a value chosen by the name, the same whenever it is asked for, so that pipelines do not
 * all start at once. `H/15` begins at such a value and goes on every 15; `H(0-29)` stays in the range. As in Jenkins.
 */
export function settledSchedule(schedule: string, name: string): string {
  return schedule
    .trim()
    .split(/\s+/)
    .map((field, i) =>
      field
        .split(",")
        .map((part) => settledPart(part, RANGES[i] ?? RANGES[0], hashOf(`${name} ${i}`)))
        .join(","),
    )
    .join(" ");
}

function settledPart(part: string, range: { readonly low: number; readonly high: number }, hash: number): string {
  const match = HASHED.exec(part);
  if (match === null) return part;
  const low = match[1] === undefined ? range.low : Number(match[1]);
  const high = match[2] === undefined ? range.high : Math.max(low, Number(match[2]));
  if (match[3] === undefined) return String(low + (hash % (high - low + 1)));
  const step = Math.max(1, Number(match[3]));
  const first = low + (hash % Math.min(step, high - low + 1));
  return `${first}-${high}/${step}`;
}

/** FNV-1a, 32 bits (Fowler, Noll and Vo), its low bits mixed with its high ones. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return (hash ^ (hash >>> 15)) >>> 0;
}
