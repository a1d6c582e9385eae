import type { Placed, WaitingJob } from "./admission-types.ts";
import { limitOn } from "./limits.ts";
import type { PassSite } from "./pass.ts";
import { Placer } from "./placer.ts";
import { unitsOf } from "./unit.ts";

/**
 * Places jobs that wait, all or none, and looks at nothing else. Undefined when one of them finds no room, is at a limit,
 * or is of a gang of which more wait than these.
 */
export function tryUnits(site: PassSite, jobs: readonly WaitingJob[], nowMs: number): readonly Placed[] | undefined {
  const { ledger } = site;
  const waiting = jobs.map(({ name }) => ledger.waiting.byName(name)).filter((entry) => entry !== undefined);
  const units = unitsOf(waiting, { nowMs, reserveAfterMs: ledger.rules.reserveAfterMs, factor: () => 1 });
  const isWhole = units.every(({ gang, members }) => !gang || ledger.waiting.ofGang(gang.id).length === members.length);
  if (!isWhole) return undefined;
  const placer = new Placer({ ...site, nowMs, left: {} });
  for (const unit of units) {
    if (limitOn(unit, ledger) === undefined && placer.tryPlace(unit)) continue;
    for (const placed of [...placer.placed.keys()].reverse()) placer.takeBack(placed);
    return undefined;
  }
  return [...placer.placed.values()].flat();
}
