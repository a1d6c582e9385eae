// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above; the group keeps colour sequences
const CONTROL_BUT_COLOUR = /(\u001b\[[0-9;]*m)|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Text from elsewhere made harmless for a terminal, on one line: no escape sequence, no hidden direction change. */
export function safeText(text: string): string {
  return text.replace(/[\r\n\t]+/g, " ").replace(CONTROL, "\ufffd");
}

/** A line of a program's output: its colours are kept, every other control sequence is made visible. */
export function safeLogText(text: string): string {
  return text.replace(CONTROL_BUT_COLOUR, (_all, colour: string | undefined) => colour ?? "\ufffd");
}

const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
] as const;

/** A span as people say it, at most two units: "3d4h", "12m5s", "0s". */
export function formatSpan(ms: number): string {
  let seconds = Math.max(0, Math.floor(ms / 1_000));
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return parts.join("") || "0s";
}

/** Bytes in the largest binary unit that leaves at least one: "1.5 MiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1_024 && unit < units.length - 1; unit++) value /= 1_024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `key=value` pairs, sorted, or "-". */
export function formatPairs(pairs: Readonly<Record<string, string | number>>): string {
  const entries = Object.entries(pairs).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, value]) => `${key}=${value}`).join(",") || "-";
}

/** The name of a protobuf enum value without its shared prefix, in lower case: JobState.RUNNING → "running". */
export function enumName(names: Readonly<Record<number, string>>, value: number): string {
  return (names[value] ?? `unknown (${value})`).toLowerCase().replaceAll("_", "-");
}
