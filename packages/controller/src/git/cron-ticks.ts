import { errorMessage } from "@kedge/domain";
import { settledSchedule } from "@kedge/pipeline/forge";
import type { CronTrigger } from "@kedge/proto";
import { Cron } from "croner";

/** A tick that nobody was there for is made good for so long; of several only the last. */
const CATCH_UP_MS = 3_600_000;
const MAX_TICKS = 100;

/** When a schedule is due. */
export interface Ticks {
  /** The newest tick that has come and has had no run yet. */
  readonly due: number | undefined;
  /** The first one still to come; undefined: never again. */
  readonly next: number | undefined;
}

/**
 * The ticks of a schedule around now, where those up to `sinceMs` have had their runs. `name` is what `H` is settled by.
 *
 * @returns a text when the schedule or time zone makes no sense.
 */
export function ticksOf(
  { schedule, timeZone }: Pick<CronTrigger, "schedule" | "timeZone">,
  { name, sinceMs, nowMs }: { readonly name: string; readonly sinceMs: number; readonly nowMs: number },
): Ticks | string {
  try {
    const settled = settledSchedule(schedule, name);
    const cron = new Cron(settled, { timezone: timeZone || "UTC", mode: "5-part", paused: true });
    let next = cron.nextRun(new Date(Math.max(sinceMs, nowMs - CATCH_UP_MS)))?.getTime();
    let due: number | undefined;
    for (let i = 0; i < MAX_TICKS && next !== undefined && next <= nowMs; i++) {
      due = next;
      next = cron.nextRun(new Date(next))?.getTime();
    }
    return { due, next };
  } catch (error) {
    return `schedule ${JSON.stringify(schedule)}: ${errorMessage(error)}`;
  }
}
