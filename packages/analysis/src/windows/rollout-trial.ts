import { isKedgeError } from "@kedge/domain";
import { type RouteJudgement, type Verdict, VerdictKind, type Window } from "@kedge/proto";
import { createJudge } from "../judge/judge.ts";
import type { Judge, JudgeWindow } from "../judge/judge-types.ts";
import { KNOWN_USERS_BYTES } from "../judge/known-users.ts";
import { mergeWindows } from "../judge/merge-windows.ts";
import { UserCohort } from "../judge/user-cohort.ts";
import { verdictMessage } from "../verdict-message.ts";
import { ExposureLedger } from "./exposure-ledger.ts";
import { type JudgeSetup, judgeSetup } from "./judge-setup.ts";
import { armsOf, judgeWindow } from "./judge-windows.ts";
import { MetricProblems } from "./metric-problems.ts";
import { Thresholds } from "./thresholds.ts";

/** More would be kept in vain: each is judged on its own. */
const MAX_WEIGHTS = 64;

/** Where a trial goes on from; afresh without it. */
export interface TrialStart {
  readonly nowMs: number;
  /** What `state` gave. */
  readonly state?: Uint8Array;
  readonly verdict?: Verdict | undefined;
}

/**
 * One rollout before the judge: takes gateways' windows, and says what they amount to. Controller and nodes judge by it
 * alike, each what it sees. Windows are gathered until somebody asks for the verdict, so that taking one costs little; in as
 * few for the judge as there are weights, as under one weight it does not matter when or where a request was answered.
 */
export class RolloutTrial {
  readonly judgement: RouteJudgement;
  readonly #setup: JudgeSetup;
  readonly #judge: Judge;
  readonly #cohort: UserCohort | undefined;
  readonly #thresholds: Thresholds;
  readonly #exposures: ExposureLedger | undefined;
  readonly #problems: MetricProblems;
  readonly #waiting = new Map<number, JudgeWindow>();
  /** Restarts, each with the exposure of its own time. */
  readonly #restarts: JudgeWindow[] = [];
  #verdict: Verdict | undefined;
  #missing: readonly string[] = [];

  constructor(judgement: RouteJudgement, { nowMs, state = new Uint8Array(), verdict }: TrialStart) {
    this.judgement = judgement;
    this.#setup = judgeSetup(judgement);
    const parts = judgement.byUser ? splitState(state) : { judge: state };
    this.#judge = judgeFrom(this.#setup, parts.judge);
    this.#cohort = judgement.byUser ? new UserCohort(parts.users) : undefined;
    this.#thresholds = new Thresholds(judgement.analysis, nowMs);
    this.#exposures = this.#setup.seesRestarts ? new ExposureLedger(nowMs) : undefined;
    this.#problems = new MetricProblems(this.#setup.userMetrics);
    this.#verdict = verdict;
  }

  /** What stopped coming although there is traffic, for people. */
  get missing(): readonly string[] {
    return this.#missing.map((name) => this.#problems.explain(name));
  }

  /** Takes a window. One without both revisions' share says nothing to the judge, but does to fixed limits. */
  observe(window: Window, nowMs: number): void {
    if (this.#waiting.size >= MAX_WEIGHTS || this.#restarts.length >= MAX_WEIGHTS) this.verdict(nowMs);
    this.#gather(window);
    this.#problems.observe(window, this.judgement);
    const restarts = this.#exposures?.observe(window, this.judgement, nowMs);
    if (restarts !== undefined) this.#restarts.push(restarts);
    const broken = this.#thresholds.observe(window, this.judgement.toRevision, nowMs);
    if (broken !== undefined) this.#verdict = broken;
  }

  /** Judges what came since the last call. A rollback is final, whoever said it. */
  verdict(nowMs: number): Verdict | undefined {
    for (const window of [...this.#waiting.values(), ...this.#restarts.splice(0)]) {
      const found = this.#judge.observe(window);
      this.#missing = found.missing;
      const isDecided = this.#verdict?.kind === VerdictKind.ROLLBACK && found.verdict !== "rollback";
      if (!isDecided) this.#verdict = verdictMessage(found, nowMs);
    }
    this.#waiting.clear();
    return this.#verdict;
  }

  /** The evidence that was judged so far, as bytes to go on from. */
  state(): Uint8Array {
    const judge = this.#judge.state();
    if (this.#cohort === undefined) return judge;
    const state = new Uint8Array(KNOWN_USERS_BYTES + judge.length);
    state.set(this.#cohort.state());
    state.set(judge, KNOWN_USERS_BYTES);
    return state;
  }

  #gather(window: Window): void {
    const shown = judgeWindow(window, armsOf(window, this.judgement), {
      setup: this.#setup,
      cohort: this.#cohort,
    });
    if (shown === undefined) return;
    if (shown === "unreadable") {
      this.#missing = ["users (what a gateway tells of them cannot be read)"];
      return;
    }
    const known = this.#waiting.get(shown.weight);
    this.#waiting.set(shown.weight, known === undefined ? shown : mergeWindows(known, shown));
  }
}

/** Evidence without the users that it is from would count them twice, so it is begun afresh. */
function splitState(state: Uint8Array): { readonly judge: Uint8Array; readonly users?: Uint8Array } {
  const users = state.subarray(0, KNOWN_USERS_BYTES);
  return users.length < KNOWN_USERS_BYTES
    ? { judge: new Uint8Array() }
    : { judge: state.subarray(KNOWN_USERS_BYTES), users };
}

/** Goes on from what is stored; afresh when that is an older server's, whose evidence means something else. */
function judgeFrom({ options }: JudgeSetup, state: Uint8Array): Judge {
  try {
    return createJudge({ ...options, state });
  } catch (error) {
    if (!isKedgeError(error, "INVALID_FIELD")) throw error;
    return createJudge(options);
  }
}
