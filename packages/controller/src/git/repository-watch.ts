import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Bus, purgeHookBodies, type StoredDocument } from "@kedge/bus";
import { errorMessage, isKedgeError } from "@kedge/domain";
import { type Clock, jitter, type ReconcileResult } from "@kedge/kernel";
import { type Repository, type RepositoryState, RepositoryStateSchema } from "@kedge/proto";
import type { Stores } from "../stores.ts";
import type { CronRunner } from "./cron-runner.ts";
import type { DeliveryProcessor } from "./delivery-processor.ts";
import type { GitCache } from "./git-cache.ts";
import { loadPipelines } from "./load-pipelines.ts";
import { freshState, planned, pollEveryMs } from "./pipeline-plan.ts";
import type { Poller } from "./poller.ts";
import { defaultBranchOf, filesOf, hookPathOf, stateKey } from "./repository-defaults.ts";

/** What repositories are watched with. */
export interface RepositoryWatchOptions {
  readonly bus: Bus;
  readonly stores: Pick<Stores, "repositories" | "repositoryStates" | "pipelines">;
  readonly cache: GitCache;
  readonly deliveries: DeliveryProcessor;
  readonly cron: CronRunner;
  readonly poller: Poller;
  readonly clock: Clock;
}

type Stored = StoredDocument<typeof RepositoryStateSchema>;

/** The default branch is looked at this often; where webhooks tell of pushes, seldom. */
const PLAN_MS = 600_000;
const PLAN_WITH_HOOKS_MS = 3_600_000;
const PLAN_RETRY_MS = 60_000;
const MAX_WAIT_MS = 600_000;

/**
 * Everything that one repository starts by itself, one thing after the other: webhooks that came in, what its pipelines
 * plan, their schedules, new heads.
 */
export class RepositoryWatch {
  readonly #options: RepositoryWatchOptions;
  /** Commits of default branches that webhooks told of, not read yet. */
  readonly #pushed = new Map<string, string>();
  /** Repositories whose applied pipelines were changed. */
  readonly #stale = new Set<string>();

  constructor(options: RepositoryWatchOptions) {
    this.#options = options;
  }

  /** A branch has a new commit: what its pipelines plan is read again if it is the default one. */
  notePush(repository: Repository, branch: string, commit: string): void {
    if (branch === defaultBranchOf(repository)) this.#pushed.set(repository.name, commit);
  }

  /** An applied pipeline of it was changed. */
  noteStale(name: string): void {
    this.#stale.add(name);
  }

  /** Does what is due, and says when more is. */
  async reconcile(name: string, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { stores, clock, deliveries, cron, poller } = this.#options;
    const repository = stores.repositories.get(name)?.value;
    if (repository === undefined) return this.#forget(name);
    const deliveryMs = await deliveries.process(repository, signal);
    const plannedMs = await this.#plan(repository, signal);
    const cronMs = await cron.run(repository, signal);
    const pollMs = await this.#poll(repository, poller, signal);
    const nextMs = Math.min(deliveryMs ?? Number.POSITIVE_INFINITY, plannedMs, cronMs, pollMs);
    return { requeueAfterMs: Math.min(Math.max(nextMs - clock.now(), 1), MAX_WAIT_MS) };
  }

  async #forget(name: string): Promise<undefined> {
    const { stores, bus } = this.#options;
    const state = stores.repositoryStates.get(stateKey(name));
    if (state === undefined) return undefined;
    await purgeHookBodies(bus, name);
    await stores.repositoryStates.delete(stateKey(name), state.revision);
    return undefined;
  }

  /** Reads what the pipelines of the default branch say, if it is time; gives the time of the next look. */
  async #plan(repository: Repository, signal: AbortSignal): Promise<number> {
    const { stores, clock } = this.#options;
    const { name } = repository;
    const stored = stores.repositoryStates.get(stateKey(name));
    const state = stored?.value ?? freshState(repository);
    const isOutdated = state.generation !== repository.generation || this.#stale.has(name);
    const hasMoved = this.#pushed.has(name) && this.#pushed.get(name) !== state.plannedCommit;
    const dueMs = (state.plannedAt === undefined ? 0 : timestampMs(state.plannedAt)) + planMs(repository, state);
    if (!isOutdated && !hasMoved && dueMs > clock.now()) return dueMs;
    const after = await this.#read(repository, state, signal);
    this.#stale.delete(name);
    this.#pushed.delete(name);
    await this.#store(name, stored, after);
    return clock.now() + planMs(repository, after);
  }

  async #read(repository: Repository, state: RepositoryState, signal: AbortSignal): Promise<RepositoryState> {
    const { stores, clock, cache } = this.#options;
    const { generation } = repository;
    try {
      return await cache.use(repository, signal, async (clone) => {
        const commit = filesOf(repository).length === 0 ? "" : await clone.fetchBranch(defaultBranchOf(repository));
        const loaded = await loadPipelines({ repository, commit, clone }, stores);
        return planned(state, loaded, { generation, commit, nowMs: clock.now() });
      });
    } catch (error) {
      if (signal.aborted || isKedgeError(error, "BUS_UNAVAILABLE")) throw error;
      // What is not known to have changed goes on.
      const plannedAt = timestampFromMs(clock.now());
      return create(RepositoryStateSchema, { ...state, generation, plannedAt, planError: errorMessage(error) });
    }
  }

  async #poll(repository: Repository, poller: Poller, signal: AbortSignal): Promise<number> {
    const { stores, clock } = this.#options;
    const state = stores.repositoryStates.get(stateKey(repository.name))?.value ?? freshState(repository);
    const everyMs = pollEveryMs(repository, state);
    if (everyMs === 0) return Number.POSITIVE_INFINITY;
    const polledMs = state.polledAt === undefined ? 0 : timestampMs(state.polledAt);
    if (polledMs + everyMs > clock.now()) return polledMs + everyMs;
    await poller.poll(repository, signal, everyMs);
    // Not all repositories of a forge at once.
    return clock.now() + everyMs * (0.9 + jitter() / 10);
  }

  async #store(name: string, before: Stored | undefined, value: RepositoryState): Promise<void> {
    const { repositoryStates } = this.#options.stores;
    if (before === undefined) await repositoryStates.create(stateKey(name), value);
    else await repositoryStates.update(stateKey(name), value, before.revision);
  }
}

function planMs(repository: Repository, { planError }: RepositoryState): number {
  if (planError !== "") return PLAN_RETRY_MS;
  return hookPathOf(repository) === "" ? PLAN_MS : PLAN_WITH_HOOKS_MS;
}
