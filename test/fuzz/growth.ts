import { SHAPES } from "./inputs.ts";
import type { FuzzFinding, WorstGrowth } from "./report.ts";
import type { FuzzTarget } from "./targets.ts";

const SMALL_BYTES = 4 * 1024;
const LARGE_BYTES = 32 * 1024;
/** What is nested so deep overflows the stack of whoever reads it by recursion. */
const DEEP_BYTES = 512 * 1024;
/** What takes less tells nothing of how it grows. */
const SUSPECT_MS = 50;
/** Times as long for a text twice as long: in proportion 2, squared 4; the garbage collector and the cache take their part. */
const MAX_DOUBLING = 2.75;

/** What growing texts came to. */
export interface Growth {
  /** Of so many ways to grow as there are. */
  readonly tried: number;
  readonly worst: WorstGrowth;
  readonly findings: readonly FuzzFinding[];
}

/**
 * Puts each shape into each place of a target's texts and lets it grow: the time must grow in proportion. Begins with the one
 * of the number `first`; `goesOn` is told the number of each before it is read.
 */
export function measureGrowth(target: FuzzTarget, first: number, goesOn: (number: number) => boolean): Growth {
  const findings: FuzzFinding[] = [];
  let worst: WorstGrowth = { shape: "none", bytes: 0, ms: 0 };
  let tried = 0;
  const count = growthCount(target);
  for (let number = first % count; tried < count && goesOn(number); number = (number + 1) % count) {
    const { shape, textOf } = growing(target, number);
    tried += 1;
    try {
      const large = checkGrowth(target, textOf);
      if (large.ms * worst.bytes >= worst.ms * large.bytes) worst = { shape, ...large };
    } catch (error) {
      const what = `${shape}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
      findings.push({ what, text: textOf(LARGE_BYTES) });
    }
  }
  return { tried, worst, findings };
}

/** How many ways to grow there are. */
export function growthCount({ holes }: FuzzTarget): number {
  return holes.length * Object.keys(SHAPES).length;
}

/** The one of a number: what it is called, and its text for so many bytes of the shape. */
export function growing(
  { holes }: FuzzTarget,
  number: number,
): { readonly shape: string; readonly textOf: (bytes: number) => string } {
  // Neighbours are in different places, so that a few of them tell of all.
  const hole = holes[number % holes.length];
  const [name, make] = Object.entries(SHAPES)[Math.floor(number / holes.length)] ?? ["nothing", () => ""];
  return { shape: `${name} in place ${number % holes.length}`, textOf: (bytes) => hole?.(make(bytes)) ?? "" };
}

type Timed = Pick<WorstGrowth, "bytes" | "ms">;

/** @throws Error when the time grows out of proportion, also when it is looked at again. */
function checkGrowth(target: FuzzTarget, textOf: (bytes: number) => string): Timed {
  let small = timed(target, textOf(SMALL_BYTES));
  let large = timed(target, textOf(LARGE_BYTES));
  if (large.ms < SUSPECT_MS) return timed(target, textOf(DEEP_BYTES));
  if (isInProportion(small, large)) return large;
  small = fastest(target, textOf(LARGE_BYTES));
  large = fastest(target, textOf(4 * LARGE_BYTES));
  if (isInProportion(small, large)) return large;
  throw new Error(
    `${small.bytes} characters take ${small.ms.toFixed(0)} ms, ${large.bytes} take ${large.ms.toFixed(0)} ms`,
  );
}

/** Some shapes grow more slowly than they are asked to. */
function isInProportion(small: Timed, large: Timed): boolean {
  const doublings = Math.log2(large.bytes / Math.max(1, small.bytes));
  return large.ms <= small.ms * MAX_DOUBLING ** doublings;
}

function fastest(target: FuzzTarget, text: string): Timed {
  const [first, second] = [timed(target, text), timed(target, text)];
  return first.ms < second.ms ? first : second;
}

function timed({ read }: FuzzTarget, text: string): Timed {
  const began = performance.now();
  read(text);
  return { bytes: text.length, ms: performance.now() - began };
}
