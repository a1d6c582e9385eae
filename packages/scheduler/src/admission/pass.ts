import type { Cluster } from "../cluster.ts";
import type { AdmissionPlan, Preemption } from "./admission-types.ts";
import { addTo, clusterAmounts, type Tally } from "./amounts.ts";
import { holdRoom } from "./backfill.ts";
import { DensityQueue } from "./density-queue.ts";
import { FairShare } from "./fair-share.ts";
import type { Hold, HoldKind } from "./hold.ts";
import type { Holds } from "./holds.ts";
import type { Ledger } from "./ledger.ts";
import { type Limit, limitOn } from "./limits.ts";
import { Placer } from "./placer.ts";
import { type Candidate, leastEviction } from "./preemption.ts";
import { priceOf } from "./ranking.ts";
import { bestExchange, type Exchangeable } from "./swaps.ts";
import { type Unit, unitsOf } from "./unit.ts";
import { waitingList } from "./waiting-list.ts";

/** Jobs that may look for room by preemption in one pass, with or without success; the others do in later ones. */
const MAX_PREEMPTORS = 16;
/** Jobs that may be exchanged for placed ones in each tier. */
const MAX_EXCHANGES = 32;

/** What passes work on. */
export interface PassSite {
  readonly cluster: Cluster;
  readonly ledger: Ledger;
  readonly holds: Holds;
}

/**
 * Decides once about everything that waits, priority by priority. In each tier:
 * 1. jobs with room held for them, and the most valuable ones that waited too long, start if they can; else others are
 *    ended for them, or room is held;
 * 2. the rest by value for what it costs while room goes, or by size where the cluster has enough for all;
 * 3. exchanges among what was placed now, where that is worth more;
 * 4. others of lower priority are ended for what found no room.
 */
export function runPass(site: PassSite, nowMs: number): AdmissionPlan {
  return new Pass(site, nowMs).run();
}

class Pass {
  readonly #site: PassSite;
  readonly #nowMs: number;
  readonly #total: Tally;
  readonly #left: Tally;
  readonly #fair: FairShare;
  readonly #placer: Placer;
  readonly #before: ReadonlyMap<string, Hold>;
  readonly #units: readonly Unit[];
  readonly #limits = new Map<Unit, Limit>();
  readonly #holders = new Map<Unit, readonly Hold[]>();
  readonly #values = new Map<Unit, number>();
  readonly #preemptions: Preemption[] = [];
  readonly #candidates = new Map<string, readonly Candidate[]>();
  /** Shapes that no node ever takes, or for which nothing can be ended. */
  readonly #unholdable = new Set<string>();
  #reservations = 0;
  #preemptors = 0;

  constructor(site: PassSite, nowMs: number) {
    const { cluster, ledger, holds } = site;
    this.#site = site;
    this.#nowMs = nowMs;
    this.#before = holds.takeAll();
    ledger.dropIdleTeams(nowMs);
    const { total, left } = clusterAmounts(cluster);
    this.#total = total;
    this.#left = left;
    this.#fair = new FairShare(ledger.accounts, ledger.rules, total, nowMs);
    this.#placer = new Placer({ ...site, nowMs, left });
    const factors = new Map([...ledger.accounts.keys()].map((team) => [team, this.#fair.factor(team)]));
    const factor = (team: string): number => factors.get(team) ?? 1;
    this.#units = unitsOf(ledger.waiting.all(), { nowMs, reserveAfterMs: ledger.rules.reserveAfterMs, factor });
  }

  run(): AdmissionPlan {
    this.#placer.probe(this.#units);
    for (const tier of tiersOf(this.#units)) this.#admit(tier);
    const rest = this.#units.filter((unit) => !this.#placer.placed.has(unit));
    return {
      placed: [...this.#placer.placed.values()].flat(),
      preempted: this.#preemptions,
      waiting: waitingList(this.#site, rest, { limits: this.#limits, holders: this.#holders, placer: this.#placer }),
    };
  }

  #admit(tier: readonly Unit[]): void {
    this.#serveHolders(tier);
    this.#serveStarving(tier);
    this.#fill(tier);
    if (this.#exchange(tier)) this.#fill(tier);
    this.#preempt(tier);
  }

  /** Jobs that have room held, or made, for them. */
  #serveHolders(tier: readonly Unit[]): void {
    const { running } = this.#site.ledger;
    const later: Unit[] = [];
    for (const unit of tier) {
      const [victim] = running.victimsOf(unit.first.name);
      const kind = victim === undefined ? this.#heldBefore(unit) : "preemption";
      if (kind === "backfill") later.push(unit);
      if (kind !== "preemption" || this.#isLimited(unit) || this.#tryPlace(unit)) continue;
      if (victim === undefined) this.#evictFor(unit);
      else this.#holdFor(unit, victim.job.nodeId);
    }
    for (const unit of later) {
      if (!this.#isLimited(unit) && !this.#tryPlace(unit) && !this.#evictFor(unit)) this.#reserve(unit);
    }
  }

  #heldBefore({ members }: Unit): HoldKind | undefined {
    if (this.#before.size === 0) return undefined;
    return members.map(({ job }) => this.#before.get(job.name)?.kind).find((kind) => kind !== undefined);
  }

  /** The most valuable jobs that waited for too long. */
  #serveStarving(tier: readonly Unit[]): void {
    const { reserveAfterMs, maxReservations } = this.#site.ledger.rules;
    const starving = tier.filter((unit) => this.#nowMs - unit.first.waitingSinceMs >= reserveAfterMs);
    const queue = new DensityQueue(starving, (unit) => this.#valueNow(unit));
    let served = 0;
    while (served < maxReservations && this.#reservations < maxReservations) {
      const unit = queue.next();
      if (unit === undefined) return;
      if (!this.#isOpen(unit) || this.#unholdable.has(unit.shapes)) continue;
      if (this.#tryPlace(unit) || this.#evictFor(unit) || this.#reserve(unit)) served++;
    }
  }

  #fill(tier: readonly Unit[]): void {
    const open = tier.filter((unit) => this.#isOpen(unit));
    const queue = new DensityQueue(open, this.#rankFor(open));
    for (let unit = queue.next(); unit !== undefined; unit = queue.next()) {
      if (!this.#isLimited(unit)) this.#tryPlace(unit);
    }
  }

  /**
   * Value for what it costs; where the cluster has enough for all, only packing counts: the largest first (first-fit
   * decreasing; Johnson 1974), so that small ones do not leave every node with too little for a large one.
   */
  #rankFor(open: readonly Unit[]): (unit: Unit) => number {
    const left = { ...this.#left };
    const asked: Tally = {};
    for (const unit of open) if (unit.gang !== undefined || this.#placer.hadRoom(unit)) addTo(asked, unit.amounts);
    const isEnough = Object.entries(asked).every(([dimension, amount]) => amount <= (left[dimension] ?? amount));
    return isEnough ? (unit) => priceOf(unit.amounts, left) : (unit) => this.#density(unit);
  }

  /** True when anything was exchanged. */
  #exchange(tier: readonly Unit[]): boolean {
    if (this.#placer.jobs === 0) return false;
    let isChanged = false;
    for (const unit of this.#outbid(tier).slice(0, MAX_EXCHANGES)) {
      const placed = this.#exchangeable(tier, unit.team);
      const victims = bestExchange(this.#site, unit, this.#valueNow(unit), placed);
      if (victims === undefined || this.#isLimited(unit)) continue;
      for (const victim of victims) this.#placer.takeBack(victim);
      isChanged = true;
      this.#tryPlace(unit);
    }
    return isChanged;
  }

  /** The best single job of each team and shape that had room and lost it to others; most valuable first. */
  #outbid(tier: readonly Unit[]): readonly Unit[] {
    const best = new Map<string, Unit>();
    for (const unit of tier) {
      const key = `${unit.shapes} ${unit.team}`;
      if (best.has(key) || unit.gang !== undefined || !this.#placer.hadRoom(unit) || !this.#isOpen(unit)) continue;
      best.set(key, unit);
    }
    return [...best.values()].sort((a, b) => this.#valueNow(b) - this.#valueNow(a));
  }

  /** Placed single jobs; those of the same team at what they would be worth now. */
  #exchangeable(tier: readonly Unit[], team: string): Exchangeable[] {
    return tier.flatMap((unit) => {
      const [placed] = unit.gang === undefined ? (this.#placer.placed.get(unit) ?? []) : [];
      const value = unit.team === team ? this.#valueNow(unit) : (this.#values.get(unit) ?? 0);
      return placed === undefined ? [] : [{ unit, placed, value }];
    });
  }

  #preempt(tier: readonly Unit[]): void {
    const { running, rules } = this.#site.ledger;
    for (const unit of tier) {
      if (!rules.preempts || !running.hasBelow(unit.priority) || this.#preemptors > MAX_PREEMPTORS) return;
      if (this.#isOpen(unit)) this.#evictFor(unit);
    }
  }

  /** Ends jobs of lower priority for a single job, and holds their room for it. */
  #evictFor(unit: Unit): boolean {
    const { cluster, ledger, holds } = this.#site;
    const { running, rules } = ledger;
    const key = `evict ${unit.shapes} ${unit.priority}`;
    if (!rules.preempts || unit.gang !== undefined || !running.hasBelow(unit.priority)) return false;
    if (this.#unholdable.has(key) || ++this.#preemptors > MAX_PREEMPTORS) return false;
    const known = this.#candidates;
    const site = { cluster, running, holds, total: this.#total, nowMs: this.#nowMs, known };
    const eviction = leastEviction(site, unit.first);
    if (eviction === undefined) {
      this.#unholdable.add(key);
      return false;
    }
    for (const { job } of eviction.victims) this.#preemptions.push(ledger.preempt(job, unit.first));
    this.#holdFor(unit, eviction.nodeId);
    return true;
  }

  /** Holds room that is being made. */
  #holdFor(unit: Unit, nodeId: string): void {
    const hold = this.#site.holds.put({ job: unit.first, nodeId, kind: "preemption", nowMs: this.#nowMs });
    this.#holders.set(unit, hold === undefined ? [] : [hold]);
  }

  /** Holds room that becomes free by itself. */
  #reserve(unit: Unit): boolean {
    if (this.#reservations >= this.#site.ledger.rules.maxReservations) return false;
    const { cluster, ledger, holds } = this.#site;
    const site = { cluster, running: ledger.running, holds, nowMs: this.#nowMs };
    const held = holdRoom(site, unit, this.#before);
    if (held === undefined) {
      this.#unholdable.add(unit.shapes);
      return false;
    }
    this.#holders.set(unit, held);
    this.#reservations++;
    return true;
  }

  #tryPlace(unit: Unit): boolean {
    const value = this.#valueNow(unit);
    if (!this.#placer.tryPlace(unit)) return false;
    this.#values.set(unit, value);
    return true;
  }

  /** It waits, and only for room. */
  #isOpen(unit: Unit): boolean {
    return !this.#placer.placed.has(unit) && !this.#holders.has(unit) && !this.#isLimited(unit);
  }

  #isLimited(unit: Unit): boolean {
    const limit = limitOn(unit, this.#site.ledger);
    if (limit === undefined) this.#limits.delete(unit);
    else this.#limits.set(unit, limit);
    return limit !== undefined;
  }

  #valueNow(unit: Unit): number {
    return unit.base * this.#fair.factor(unit.team);
  }

  #density(unit: Unit): number {
    const price = priceOf(unit.amounts, this.#left);
    return price === 0 ? Number.POSITIVE_INFINITY : (unit.members.length * this.#valueNow(unit)) / price;
  }
}

/** Units of equal priority together, the highest first. */
function tiersOf(ranked: readonly Unit[]): readonly (readonly Unit[])[] {
  const tiers: Unit[][] = [];
  for (const unit of ranked) {
    const last = tiers.at(-1);
    if (last?.[0]?.priority === unit.priority) last.push(unit);
    else tiers.push([unit]);
  }
  return tiers;
}
