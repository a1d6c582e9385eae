import { KedgeError } from "@kedge/domain";

const HOUR = 3600;
const DAY = 24 * HOUR;

/** When a budget burns too fast. */
export interface BurnRule {
  readonly severity: "page" | "ticket";
  /** Share of the whole period's budget that may be gone after the long window. */
  readonly budgetShare: number;
  readonly longSeconds: number;
  /** Must burn as fast in this window too: it ends the alert soon after the errors end. */
  readonly shortSeconds: number;
}

/** The rules of the SRE workbook, chapter 5, table 5-8: burn rates 14.4, 6 and 1 for a period of 30 days. */
export const STANDARD_BURN_RULES: readonly BurnRule[] = [
  { severity: "page", budgetShare: 0.02, longSeconds: HOUR, shortSeconds: HOUR / 12 },
  { severity: "page", budgetShare: 0.05, longSeconds: 6 * HOUR, shortSeconds: HOUR / 2 },
  { severity: "ticket", budgetShare: 0.1, longSeconds: 3 * DAY, shortSeconds: 6 * HOUR },
];

/** Requests and errors in a stretch of time. Windows are not to overlap; order does not matter. */
export interface RequestWindow {
  readonly endEpochSeconds: number;
  readonly seconds: number;
  readonly requests: number;
  readonly errors: number;
}

/** What to look at. */
export interface BurnQuery {
  /** Share of requests that must succeed, such as 0.999. */
  readonly objective: number;
  readonly windows: readonly RequestWindow[];
  readonly nowEpochSeconds: number;
  /** Of the objective; default 30 days. */
  readonly periodSeconds?: number;
  /** Default `STANDARD_BURN_RULES`. */
  readonly rules?: readonly BurnRule[];
  /** Errors in the short window below which nothing alerts, so that one error in little traffic does not. Default 3. */
  readonly minErrors?: number;
}

/** A rule whose both windows burn too fast. */
export interface BurnAlert {
  readonly rule: BurnRule;
  /** Burn rate from which on the rule alerts; 1 spends the budget in exactly the period. */
  readonly threshold: number;
  readonly longBurn: number;
  readonly shortBurn: number;
  /** One readable sentence with numbers. */
  readonly reason: string;
}

/**
 * Multi-window, multi-burn-rate alerts (Google SRE workbook, chapter 5, section 6), most urgent first. Time without
 * traffic burns nothing.
 *
 * @throws KedgeError INVALID_OPTION for an objective that is not between 0 and 1.
 */
export function burnAlerts(query: BurnQuery): BurnAlert[] {
  const { objective, rules = STANDARD_BURN_RULES, periodSeconds = 30 * DAY, minErrors = 3 } = query;
  if (!(objective > 0 && objective < 1)) {
    throw new KedgeError("INVALID_OPTION", `objective must be between 0 and 1, not ${objective}`, {
      field: "objective",
    });
  }
  return rules.flatMap((rule) => {
    const threshold = (rule.budgetShare * periodSeconds) / rule.longSeconds;
    const long = countWithin(query, rule.longSeconds);
    const short = countWithin(query, rule.shortSeconds);
    const longBurn = burnRate(long, objective);
    const shortBurn = burnRate(short, objective);
    if (longBurn < threshold || shortBurn < threshold || short.errors < minErrors) return [];
    const reason = `errors use up the budget ${longBurn.toFixed(1)} times too fast over ${rule.longSeconds / HOUR} h and ${shortBurn.toFixed(1)} times over ${rule.shortSeconds / 60} min; ${threshold.toFixed(1)} is the limit`;
    return [{ rule, threshold, longBurn, shortBurn, reason }];
  });
}

interface Counts {
  readonly requests: number;
  readonly errors: number;
}

/** Share of requests that failed over the share that may; 0 without requests. */
function burnRate({ requests, errors }: Counts, objective: number): number {
  return requests > 0 ? errors / requests / (1 - objective) : 0;
}

/** Counts of the newest `seconds`; a window that lies partly within counts by that part. Impossible windows do not count. */
function countWithin({ windows, nowEpochSeconds }: BurnQuery, seconds: number): Counts {
  let requests = 0;
  let errors = 0;
  for (const window of windows) {
    const isPossible = window.seconds > 0 && window.errors >= 0 && window.errors <= window.requests;
    if (!isPossible) continue;
    const start = Math.max(window.endEpochSeconds - window.seconds, nowEpochSeconds - seconds);
    const part = (Math.min(window.endEpochSeconds, nowEpochSeconds) - start) / window.seconds;
    if (!(part > 0)) continue;
    requests += part * window.requests;
    errors += part * window.errors;
  }
  return { requests, errors };
}
