import type { ArmWindow, JudgeWindow } from "./judge-types.ts";

/** One request, and the user whose assignment it followed. */
export interface UserRequest {
  readonly user: string;
  readonly arm: "baseline" | "canary";
  readonly isFailed: boolean;
  readonly latencyMs: number;
  /** Predicted label, if any. */
  readonly label?: string;
}

/** A window's requests while the share of users on the canary was constant. */
export interface UserWindow {
  readonly seconds: number;
  readonly weight: number;
  readonly requests: readonly UserRequest[];
}

interface UserOutcome {
  readonly arm: "baseline" | "canary";
  isFailed: boolean;
  requests: number;
  latencySum: number;
  readonly label: string | undefined;
}

const MAX_USERS = 1_000_000;

/**
 * Makes windows of users out of windows of requests, for a judge with `unit: "user"`. Under sticky routing it is users that
 * are assigned at random; their requests come out alike, so counting requests would find evidence that is not there. Each
 * user counts once, in the window that he is first seen in, on the arm that he is on then: as failed if any of his
 * requests in it failed, with their mean latency and the first one's label. Once a million are known, new ones count no more.
 */
export class UserCohort {
  readonly #known: Set<string>;

  /** `known`: users counted before, to go on from. */
  constructor(known: Iterable<string> = []) {
    this.#known = new Set(known);
  }

  /** Users that were counted. */
  get known(): ReadonlySet<string> {
    return this.#known;
  }

  /** The window's new users as a window to judge. */
  window({ seconds, weight, requests }: UserWindow): JudgeWindow {
    const outcomes = this.#newUsers(requests);
    for (const user of outcomes.keys()) this.#known.add(user);
    const of = (arm: "baseline" | "canary"): UserOutcome[] => [...outcomes.values()].filter((user) => user.arm === arm);
    return { seconds, weight, baseline: armOf(of("baseline")), canary: armOf(of("canary")) };
  }

  #newUsers(requests: readonly UserRequest[]): Map<string, UserOutcome> {
    const outcomes = new Map<string, UserOutcome>();
    for (const { user, arm, isFailed, latencyMs, label } of requests) {
      if (this.#known.has(user)) continue;
      const outcome = outcomes.get(user);
      if (outcome === undefined) {
        if (this.#known.size + outcomes.size >= MAX_USERS) continue;
        outcomes.set(user, { arm, isFailed, requests: 1, latencySum: latencyMs, label });
        continue;
      }
      outcome.isFailed ||= isFailed;
      outcome.requests++;
      outcome.latencySum += latencyMs;
    }
    return outcomes;
  }
}

function armOf(users: readonly UserOutcome[]): ArmWindow {
  const predictions: Record<string, number> = {};
  for (const { label } of users) if (label !== undefined) predictions[label] = (predictions[label] ?? 0) + 1;
  return {
    requests: users.length,
    errors: users.filter(({ isFailed }) => isFailed).length,
    latencyMs: users.map(({ latencySum, requests }) => latencySum / requests),
    ...(Object.keys(predictions).length === 0 ? {} : { predictions }),
  };
}
