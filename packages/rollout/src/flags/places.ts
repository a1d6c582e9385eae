import { create } from "@bufbuild/protobuf";
import { type FlagRange, FlagRangeSchema, type FlagShare } from "@kedge/proto";
import { xxh32 } from "./hash.ts";

/** Every value of the attribute that a split goes by has one of so many places. */
export const PLACES = 10_000;

const HASHES = 2 ** 32;

/** The place of a value, 0 to PLACES - 1; the same for ever under one salt. */
export function placeOf(salt: string, value: string): number {
  return Math.floor((xxh32(`${salt}/${value}`) / HASHES) * PLACES);
}

/** The variant at a place; undefined when the ranges do not reach it. */
export function variantAt(ranges: readonly FlagRange[], place: number): string | undefined {
  return ranges.find(({ end }) => place < end)?.variant;
}

/** A run of places of one variant, or of none yet. */
interface Run {
  readonly variant: string | undefined;
  readonly length: number;
}

/**
 * Gives every variant its share of the places and moves as few as can be: a variant keeps what it has up to its new
 * share; what others give up goes to those that grow. Ranges cut one after the other from shares cannot do that, and
 * neither can any rule that does not know what was before: with three variants, places move between two when the third
 * one changes.
 *
 * @param before ranges so far; none: laid out in the order of the shares.
 */
export function layOut(shares: readonly FlagShare[], before: readonly FlagRange[]): FlagRange[] {
  const wanted = new Map(shares.map(({ variant, basisPoints }) => [variant, basisPoints]));
  const kept = before.length === 0 ? [{ variant: undefined, length: PLACES }] : keep(before, wanted);
  return toRanges(fill(kept, wanted));
}

/** What stays where it is. Takes what is kept out of what is wanted. */
function keep(before: readonly FlagRange[], wanted: Map<string, number>): Run[] {
  let start = 0;
  return before.flatMap(({ variant, end }) => {
    const length = end - start;
    start = end;
    const left = wanted.get(variant) ?? 0;
    const stays = Math.min(length, left);
    wanted.set(variant, left - stays);
    return [
      { variant, length: stays },
      { variant: undefined, length: length - stays },
    ];
  });
}

/** Gives the places of nobody to those that want more, in their order. */
function fill(runs: readonly Run[], wanted: Map<string, number>): Run[] {
  return runs.flatMap((run) => {
    if (run.variant !== undefined) return [run];
    const given: Run[] = [];
    let free = run.length;
    for (const [variant, left] of wanted) {
      const length = Math.min(free, left);
      wanted.set(variant, left - length);
      free -= length;
      given.push({ variant, length });
    }
    return given;
  });
}

function toRanges(runs: readonly Run[]): FlagRange[] {
  const ranges: FlagRange[] = [];
  let end = 0;
  for (const { variant = "", length } of runs) {
    if (length === 0) continue;
    end += length;
    const last = ranges.at(-1);
    if (last?.variant === variant) last.end = end;
    else ranges.push(create(FlagRangeSchema, { variant, end }));
  }
  return ranges;
}
