/** A quantity that was read, or why it could not be. */
export type Quantity = { readonly value: number } | { readonly problem: string };

const UNIT_SECONDS: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
]);
const UNIT_MIB: ReadonlyMap<string, number> = new Map([
  ["Mi", 1],
  ["Gi", 1024],
  ["Ti", 1024 * 1024],
]);
const MAX_SECONDS = 30 * 86_400;
const MAX_MIB = 1024 * 1024 * 1024;

/** Seconds of a duration such as 90s, 10m or 1h30m; at most 30 days. */
export function parseDuration(text: string): Quantity {
  if (!/^(?:\d{1,9}[smhd])+$/.test(text)) return { problem: "a duration with a unit, e.g. 30s, 10m, 1h30m or 2d" };
  const seconds = [...text.matchAll(/(\d+)([smhd])/g)].reduce(
    (sum, [, count = "0", unit = "s"]) => sum + Number(count) * (UNIT_SECONDS.get(unit) ?? 0),
    0,
  );
  return seconds <= MAX_SECONDS ? { value: seconds } : { problem: "a duration of at most 30d" };
}

/** Thousandths of a core of an amount such as 2, 0.5 or 500m. */
export function parseCpu(text: string, maxCores = 1000): Quantity {
  const problem = "CPU cores or thousandths of one, e.g. 2, 0.5 or 500m";
  const match = /^(\d{1,10}(?:\.\d{1,3})?)(m?)$/.exec(text);
  if (match === null) return { problem };
  const [, amount = "", unit] = match;
  if (unit === "m" && amount.includes(".")) return { problem };
  const milli = unit === "m" ? Number(amount) : Math.round(Number(amount) * 1000);
  return milli >= 1 && milli <= maxCores * 1000 ? { value: milli } : { problem: `${problem} (from 1m to ${maxCores})` };
}

/** MiB of an amount such as 512Mi, 1.5Gi or 2Ti. */
export function parseMebibytes(text: string): Quantity {
  const problem = "an amount with the unit Mi, Gi or Ti, e.g. 512Mi or 1.5Gi";
  const match = /^(\d{1,10}(?:\.\d{1,3})?)(Mi|Gi|Ti)$/.exec(text);
  if (match === null) return { problem };
  const mib = Math.ceil(Number(match[1]) * (UNIT_MIB.get(match[2] ?? "") ?? 0));
  return mib >= 1 && mib <= MAX_MIB ? { value: mib } : { problem: `${problem} (from 1Mi to 1024Ti)` };
}

/** Seconds as `parseDuration` reads them, in the fewest parts. */
export function formatDuration(seconds: number): string {
  let rest = seconds;
  let text = "";
  for (const [unit, length] of [...UNIT_SECONDS].reverse()) {
    const count = Math.floor(rest / length);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * length;
  }
  return text || "0s";
}

/** Thousandths of a core as `parseCpu` reads them: cores when they are whole. */
export function formatCpu(milli: number): string | number {
  return milli % 1000 === 0 ? milli / 1000 : `${milli}m`;
}

/** MiB as `parseMebibytes` reads them, in the largest unit that is whole. */
export function formatMebibytes(mib: number): string {
  const [unit, size] = [...UNIT_MIB].reverse().find(([, it]) => mib % it === 0) ?? ["Mi", 1];
  return `${mib / size}${unit}`;
}
