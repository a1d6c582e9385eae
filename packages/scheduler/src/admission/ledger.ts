import type { Amounts } from "@kedge/domain";
import type { Preemption, RunningJob, WaitingJob } from "./admission-types.ts";
import type { Rules } from "./rules.ts";
import { RunningJobs } from "./running-jobs.ts";
import { TeamAccount } from "./team-account.ts";
import { WaitingJobs } from "./waiting-jobs.ts";

/** What waits, what runs, and what each team holds and has used. */
export class Ledger {
  readonly waiting = new WaitingJobs();
  readonly running = new RunningJobs();
  readonly #accounts = new Map<string, TeamAccount>();
  /** Who is no job and has room made. */
  readonly #claimants = new Set<string>();
  rules: Rules;

  constructor(rules: Rules) {
    this.rules = rules;
  }

  /** By team; every team that waits, runs or has used anything. */
  get accounts(): ReadonlyMap<string, TeamAccount> {
    return this.#accounts;
  }

  /** A job waits. False, and nothing changes, when its key runs already. */
  wait(job: WaitingJob): boolean {
    if (this.running.get(job.key) !== undefined) return false;
    this.#account(job.team);
    this.waiting.add(job);
    return true;
  }

  /**
   * A job holds room since `startedAtMs`, and waits no more. That it was told to end is remembered as long as the job it
   * has to go for waits: who tells of it may not know yet.
   */
  run(news: RunningJob): void {
    const before = this.running.get(news.key);
    if (before !== undefined) this.end(news.key);
    const job = news.preemptedBy ? news : { ...news, preemptedBy: this.#stillFor(before?.job) };
    this.waiting.remove(job.key);
    this.waiting.removeNamed(job.name);
    const { amounts } = this.running.add(job);
    this.#account(job.team).hold(amounts, job.startedAtMs, this.rules.halfLifeMs);
  }

  /** A job holds its room no more; as if it had never started without `endedAtMs`. False when it does not run. */
  end(key: string, endedAtMs?: number): boolean {
    const running = this.running.remove(key);
    if (running === undefined) return false;
    const { team, startedAtMs } = running.job;
    this.#account(team).giveBack(running.amounts, endedAtMs ?? startedAtMs, this.rules.halfLifeMs);
    return true;
  }

  /** A job of the team ran before. */
  charge(team: string, amounts: Amounts, fromMs: number, toMs: number): void {
    this.#account(team).charge(amounts, fromMs, toMs, this.rules.halfLifeMs);
  }

  /** Forgets teams that hold nothing, wait for nothing, and whose use has faded away. */
  dropIdleTeams(nowMs: number): void {
    for (const [team, account] of this.#accounts) {
      if (this.waiting.teams.has(team) || this.running.teams.has(team)) continue;
      const used = account.usedBy(nowMs, this.rules.halfLifeMs);
      if (Object.values(used).every((amount) => amount < 1)) this.#accounts.delete(team);
    }
  }

  /** What the team's jobs hold now. */
  heldBy(team: string): Amounts {
    return this.#accounts.get(team)?.held ?? {};
  }

  /** Tells a running job to end for another, or for what is no job. */
  preempt(job: RunningJob, { name, priority }: { readonly name: string; readonly priority: number }): Preemption {
    this.run({ ...job, preemptedBy: name });
    const reason = `room for ${name} of priority ${priority}; this one has ${job.priority}`;
    return { key: job.key, nodeId: job.nodeId, preemptedBy: name, reason };
  }

  /** Whether something that is no job has room made for it. */
  noteClaimant(name: string, isClaimant: boolean): void {
    if (isClaimant) this.#claimants.add(name);
    else this.#claimants.delete(name);
  }

  #stillFor(known: RunningJob | undefined): string | undefined {
    const { preemptedBy } = known ?? {};
    if (!preemptedBy) return undefined;
    const isWanted = this.waiting.byName(preemptedBy) !== undefined || this.#claimants.has(preemptedBy);
    return isWanted ? preemptedBy : undefined;
  }

  #account(team: string): TeamAccount {
    const account = this.#accounts.get(team) ?? new TeamAccount();
    this.#accounts.set(team, account);
    return account;
  }
}
