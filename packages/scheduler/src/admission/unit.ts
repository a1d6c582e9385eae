import type { Amounts } from "@kedge/domain";
import type { Gang, WaitingJob } from "./admission-types.ts";
import { addTo, type Tally } from "./amounts.ts";
import type { Ledger } from "./ledger.ts";
import { baseValue, isFirst } from "./ranking.ts";
import type { Waiting } from "./waiting-jobs.ts";

/** What is placed together: a job, or all members of a gang that wait. */
export interface Unit {
  /** Ordered by time of waiting, then name; the first one stands for the unit. */
  readonly members: readonly Waiting[];
  readonly first: WaitingJob;
  readonly gang: Gang | undefined;
  /** The lowest of its members', so that none is carried past a higher priority. */
  readonly priority: number;
  readonly team: string;
  readonly amounts: Amounts;
  /** Equal for units that fit the same nodes. */
  readonly shapes: string;
  /** Longest that any member may run. */
  readonly limitMs: number;
  /** Mean value of the members before fair share. */
  readonly base: number;
  /** With fair share as it was at the start of the pass. */
  readonly value: number;
}

/** What units are valued by. */
export interface Valuation {
  readonly nowMs: number;
  readonly reserveAfterMs: number;
  factor(team: string): number;
}

/** Makes units of waiting jobs, best first: by priority, value, time of waiting, name. */
export function unitsOf(waiting: Iterable<Waiting>, valuation: Valuation): Unit[] {
  const units: Unit[] = [];
  const gangs = new Map<string, Waiting[]>();
  for (const entry of waiting) {
    const { gang } = entry.job;
    const known = gang && gangs.get(gang.id);
    if (gang === undefined) units.push(unitOf([entry], valuation));
    else if (known === undefined) gangs.set(gang.id, [entry]);
    else known.push(entry);
  }
  for (const members of gangs.values()) units.push(unitOf(members, valuation));
  return units.sort(byRank);
}

function unitOf(waiting: readonly Waiting[], valuation: Valuation): Unit {
  const members = waiting.length === 1 ? waiting : [...waiting].sort((a, b) => isFirst(a.job, b.job));
  const [entry] = members;
  if (entry === undefined) throw new RangeError("a unit has members");
  const { job } = entry;
  const base = meanBase(members, valuation);
  return {
    members,
    first: job,
    gang: job.gang,
    priority: Math.min(...members.map((member) => member.job.priority)),
    team: job.team,
    amounts: members.length === 1 ? entry.amounts : sum(members),
    shapes: members.length === 1 ? `${entry.shape.id}` : shapesOf(members),
    limitMs: Math.max(...members.map((member) => member.job.limitMs)),
    base,
    value: base * valuation.factor(job.team),
  };
}

function meanBase(members: readonly Waiting[], { nowMs, reserveAfterMs }: Valuation): number {
  const values = members.map(({ job }) => baseValue(job, nowMs, reserveAfterMs));
  return values.reduce((total, value) => total + value, 0) / members.length;
}

function shapesOf(members: readonly Waiting[]): string {
  const ids = members.map(({ shape }) => shape.id);
  return ids.sort((a, b) => a - b).join();
}

function sum(members: readonly Waiting[]): Amounts {
  const amounts: Tally = {};
  for (const member of members) addTo(amounts, member.amounts);
  return amounts;
}

function byRank(a: Unit, b: Unit): number {
  return b.priority - a.priority || b.value - a.value || isFirst(a.first, b.first);
}

/** The first member, by name, that neither waits nor runs; the gang cannot start without it. */
export function missingMember(unit: Unit, { waiting, running }: Ledger): string | undefined {
  const absent = unit.gang?.members.filter((name) => waiting.byName(name) === undefined && !running.isRunning(name));
  return absent?.sort()[0];
}
