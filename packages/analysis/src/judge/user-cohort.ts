import type { ArmWindow, JudgeWindow } from "./judge-types.ts";
import { KnownUsers } from "./known-users.ts";

/** A user by name or hash. */
export type UserId = string | number;

/** One request, and the user whose assignment it followed. */
export interface UserRequest {
  readonly user: UserId;
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

/** The distinct users of one arm's requests, and those of them that met an error. */
export interface ArmUsers {
  readonly users: Iterable<UserId>;
  readonly failed: Iterable<UserId>;
}

/** A window of which only the users are known. */
export interface DistinctUsersWindow {
  readonly seconds: number;
  readonly weight: number;
  readonly baseline: ArmUsers;
  readonly canary: ArmUsers;
}

interface UserOutcome {
  readonly arm: "baseline" | "canary";
  isFailed: boolean;
  requests: number;
  latencySum: number;
  readonly label: string | undefined;
}

const MAX_USERS = 250_000;

/**
 * Makes windows of users out of windows of requests, for a judge with `unit: "user"`. Under sticky routing it is users that
 * are assigned at random; their requests come out alike, so counting requests would find evidence that is not there. Each
 * user counts once, in the window that he is first seen in, on the arm that he is on then: as failed if any of his
 * requests in it failed, with their mean latency and the first one's label. Once 250,000 are known, new ones count no more.
 */
export class UserCohort {
  readonly #known = new Set<UserId>();
  readonly #before: KnownUsers;
  readonly #all: KnownUsers;

  /** `state`: another cohort's, to go on from. */
  constructor(state: Uint8Array = new Uint8Array()) {
    this.#before = new KnownUsers(state);
    this.#all = new KnownUsers(state);
  }

  /** The users that were counted, as bytes to go on from: none of them counts again, and some others do not either. */
  state(): Uint8Array {
    return this.#all.toBytes();
  }

  /** The window's new users as a window to judge. */
  window({ seconds, weight, requests }: UserWindow): JudgeWindow {
    const outcomes = this.#newUsers(requests);
    for (const user of outcomes.keys()) this.#add(user);
    const of = (arm: "baseline" | "canary"): UserOutcome[] => [...outcomes.values()].filter((user) => user.arm === arm);
    return { seconds, weight, baseline: armOf(of("baseline")), canary: armOf(of("canary")) };
  }

  /** The same where only distinct users are known; whoever is on both arms is on neither. */
  distinctWindow({ seconds, weight, baseline, canary }: DistinctUsersWindow): JudgeWindow {
    const theirs = new Set(baseline.users);
    const ours = new Set(canary.users);
    const count = (users: ReadonlySet<UserId>, others: ReadonlySet<UserId>, failed: ReadonlySet<UserId>): ArmWindow => {
      const fresh = [...users].filter((user) => !this.#isKnown(user) && !others.has(user));
      return { requests: fresh.length, errors: fresh.filter((user) => failed.has(user)).length };
    };
    const isFull = this.#known.size + theirs.size + ours.size > MAX_USERS;
    const none: ArmWindow = { requests: 0, errors: 0 };
    const window = {
      seconds,
      weight,
      baseline: isFull ? none : count(theirs, ours, new Set(baseline.failed)),
      canary: isFull ? none : count(ours, theirs, new Set(canary.failed)),
    };
    if (!isFull) for (const user of [...theirs, ...ours]) this.#add(user);
    return window;
  }

  #isKnown(user: UserId): boolean {
    return this.#known.has(user) || this.#before.has(user);
  }

  #add(user: UserId): void {
    this.#known.add(user);
    this.#all.add(user);
  }

  #newUsers(requests: readonly UserRequest[]): Map<UserId, UserOutcome> {
    const outcomes = new Map<UserId, UserOutcome>();
    for (const { user, arm, isFailed, latencyMs, label } of requests) {
      if (this.#isKnown(user)) continue;
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
