import type { NodeLevel, NodeReason, OwnFacts } from "./health-types.ts";

/** What one kind of facts comes to. */
export interface OwnSign {
  readonly level: NodeLevel;
  readonly reason: NodeReason;
}

/** With less than this steps, fetches and logs fail. */
const FULL_MIB = 256;
const NEARLY_FULL_MIB = 1024;
const FLAPPING_RETURNS = 3;

/** What a node shows by itself, without comparison: a full disk, coming and going. */
export function ownSigns({ freeDiskMib, returns }: OwnFacts, before: NodeLevel, span: string): OwnSign[] {
  const signs: OwnSign[] = [];
  if (freeDiskMib !== undefined) signs.push(...diskSigns(freeDiskMib, before));
  if (returns >= FLAPPING_RETURNS - 1) {
    const isFlapping = returns >= FLAPPING_RETURNS || before === "sick";
    const text = `it fell silent and came back ${returns} times within ${span}`;
    const clears = `it has not fallen silent more than once within ${span}`;
    signs.push({ level: isFlapping ? "sick" : "suspect", reason: { text, clears } });
  }
  return signs;
}

function diskSigns(freeMib: number, before: NodeLevel): OwnSign[] {
  // What was sick has to get well clear of the limit, or it would come and go with every log line.
  const limit = before === "sick" ? 2 * FULL_MIB : FULL_MIB;
  if (freeMib >= NEARLY_FULL_MIB) return [];
  const text = `only ${Math.floor(freeMib)} MiB of disk are free`;
  if (freeMib < limit) return [{ level: "sick", reason: { text, clears: `${2 * FULL_MIB} MiB are free` } }];
  return [{ level: "suspect", reason: { text, clears: `${NEARLY_FULL_MIB} MiB are free` } }];
}
