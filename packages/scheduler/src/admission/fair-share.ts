import type { Amounts } from "@kedge/domain";
import { addTo, dominantShare, type Tally } from "./amounts.ts";
import type { Rules } from "./rules.ts";
import type { TeamAccount } from "./team-account.ts";

/** What is held counts as if it had been held for this part of a half-life already, so that a burst has its price at once. */
const ENTRY_PART = 1 / 24;
/** A team above its share never falls below 1/64. */
const MAX_EXPONENT = 6;

/**
 * The fair-share factors of one pass: 2^(−(use / share)), both as parts of all teams' (Slurm's classic multifactor
 * plugin). Use is the dominant share of the cluster, decayed; jobs placed in the pass count at once, against the total at
 * its start, so that a factor only falls while the pass goes on.
 */
export class FairShare {
  readonly #accounts: ReadonlyMap<string, TeamAccount>;
  readonly #rules: Rules;
  readonly #total: Amounts;
  readonly #nowMs: number;
  readonly #allUse: number;
  readonly #allShares: number;
  /** Factors as they are while nothing else is held. */
  readonly #known = new Map<string, { readonly changes: number; readonly factor: number }>();

  constructor(accounts: ReadonlyMap<string, TeamAccount>, rules: Rules, total: Amounts, nowMs: number) {
    this.#accounts = accounts;
    this.#rules = rules;
    this.#total = total;
    this.#nowMs = nowMs;
    const teams = [...accounts.keys()].sort();
    // Never less than the whole cluster for the entry time: a little use at the beginning of time is not much.
    this.#allUse = Math.max(
      rules.halfLifeMs * ENTRY_PART,
      teams.reduce((sum, team) => sum + this.#use(team), 0),
    );
    this.#allShares = teams.reduce((sum, team) => sum + shareOf(rules, team), 0);
  }

  /** 1/64 to 1. */
  factor(team: string): number {
    const changes = this.#accounts.get(team)?.changes ?? 0;
    const known = this.#known.get(team);
    if (known?.changes === changes) return known.factor;
    const factor = this.#compute(team);
    this.#known.set(team, { changes, factor });
    return factor;
  }

  #compute(team: string): number {
    const share = shareOf(this.#rules, team) / Math.max(shareOf(this.#rules, team), this.#allShares);
    const exponent = Math.min(MAX_EXPONENT, this.#use(team) / this.#allUse / share);
    // Rounded: sums of the same numbers in another order must not decide.
    return Math.round(2 ** -exponent * 1e9) / 1e9;
  }

  /** Cluster × milliseconds. */
  #use(team: string): number {
    const account = this.#accounts.get(team);
    if (account === undefined) return 0;
    const use: Tally = { ...account.usedBy(this.#nowMs, this.#rules.halfLifeMs) };
    addTo(use, account.held, this.#rules.halfLifeMs * ENTRY_PART);
    return dominantShare(use, this.#total);
  }
}

/** A team's share; 1 unless the policy says otherwise. */
export function shareOf(rules: Rules, team: string): number {
  return rules.shares.get(team) ?? 1;
}
