import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { errorMessage, isKedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { asksForNoRuns } from "@kedge/pipeline/forge";
import {
  type Repository,
  type RepositoryState,
  RepositoryStateSchema,
  type Source,
  SourceEvent,
  SourceSchema,
} from "@kedge/proto";
import { isRefName } from "@kedge/runtime/git";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import type { Clone, GitCache } from "./git-cache.ts";
import { freshState } from "./pipeline-plan.ts";
import { stateKey } from "./repository-defaults.ts";
import { type RunStarter, shortDigest } from "./run-starter.ts";

/** What heads are looked for with. */
export interface PollerOptions {
  readonly stores: Pick<Stores, "repositoryStates">;
  readonly cache: GitCache;
  readonly starter: RunStarter;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly onPush: (repository: Repository, branch: string, commit: string) => void;
  readonly onProblem: (repository: Repository, source: Source, problem: string) => Promise<void>;
}

/** What a look found. */
export interface Polled {
  readonly state: RepositoryState;
  readonly runIds: readonly string[];
}

interface NewHead {
  readonly branch: string;
  readonly commit: string;
  /** Empty: the branch is new. */
  readonly before: string;
}

const MAX_RACES = 10;
const MAX_BRANCHES = 5_000;
/** So many new heads are taken up in one look, the others in the next. */
const MAX_NEW = 50;

/** Looks for new heads of branches. The runs they start are started before the heads are remembered, each once. */
export class Poller {
  readonly #options: PollerOptions;
  /** Looks under way, by repository: one at a time. */
  readonly #looking = new Map<string, Promise<void>>();

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  /**
   * Looks once; what was looked at less than `everyMs` ago is not looked at again. The first look only remembers. What a
   * look cannot reach is in the state, not thrown.
   *
   * @throws KedgeError BUS_UNAVAILABLE, CONFLICT when the state was changed all the time.
   */
  poll(repository: Repository, signal: AbortSignal, everyMs = 0): Promise<Polled> {
    const { name } = repository;
    const mine = (this.#looking.get(name) ?? Promise.resolve()).then(() =>
      this.#untilStored(repository, signal, everyMs),
    );
    const settled = mine.then(
      () => {},
      () => {}, // whoever asked is told
    );
    this.#looking.set(name, settled);
    settled.then(() => this.#looking.get(name) === settled && this.#looking.delete(name));
    return mine;
  }

  async #untilStored(repository: Repository, signal: AbortSignal, everyMs: number): Promise<Polled> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(repository, signal, everyMs);
      } catch (error) {
        // What is planned is written to the same state; runs that were started are not started again.
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
      }
    }
  }

  async #once(repository: Repository, signal: AbortSignal, everyMs: number): Promise<Polled> {
    const { stores, clock } = this.#options;
    const key = stateKey(repository.name);
    const stored = stores.repositoryStates.get(key);
    const before = stored?.value ?? freshState(repository);
    const polledMs = before.polledAt === undefined ? Number.NEGATIVE_INFINITY : timestampMs(before.polledAt);
    if (polledMs + everyMs > clock.now()) return { state: before, runIds: [] };
    const { after, runIds } = await this.#look(repository, before, signal);
    const state = create(RepositoryStateSchema, { ...after, polledAt: timestampFromMs(clock.now()) });
    if (stored === undefined) await stores.repositoryStates.create(key, state);
    else await stores.repositoryStates.update(key, state, stored.revision);
    return { state, runIds };
  }

  async #look(repository: Repository, before: RepositoryState, signal: AbortSignal) {
    const runIds: string[] = [];
    try {
      const found = await this.#options.cache.heads(repository, signal);
      const named = [...found].filter(([branch]) => isRefName(branch)).toSorted(([a], [b]) => (a < b ? -1 : 1));
      const heads = Object.fromEntries(named.slice(0, MAX_BRANCHES));
      const news = before.polled ? newHeads(before.heads, heads) : [];
      for (const head of news.slice(0, MAX_NEW)) runIds.push(...(await this.#start(repository, before, head, signal)));
      for (const { branch, before: old } of news.slice(MAX_NEW)) {
        if (old === "") delete heads[branch];
        else heads[branch] = old;
      }
      const tooMany =
        named.length > MAX_BRANCHES ? `only ${MAX_BRANCHES} of ${named.length} branches are looked at` : "";
      return { after: create(RepositoryStateSchema, { ...before, heads, polled: true, pollError: tooMany }), runIds };
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      const pollError = errorMessage(error);
      if (pollError !== before.pollError) this.#warn(repository.name, `new heads cannot be looked for: ${pollError}`);
      return { after: create(RepositoryStateSchema, { ...before, pollError }), runIds };
    }
  }

  #start(repository: Repository, { polledAt }: RepositoryState, head: NewHead, signal: AbortSignal): Promise<string[]> {
    const { cache, starter, onPush, onProblem } = this.#options;
    return cache.use(repository, signal, async (clone) => {
      const source = await sourceOf(repository, head, clone);
      onPush(repository, head.branch, source.commit);
      if (asksForNoRuns(source.message)) return [];
      // A branch may go to and fro: what was remembered when it was found is part of the key.
      const since = polledAt === undefined ? 0 : timestampMs(polledAt);
      const key = `poll/${repository.name}/${shortDigest(`${head.branch}\n${head.commit}\n${since}`)}`;
      const { runIds, problems } = await starter.start({ repository, source, filesAt: source.commit, clone, key });
      const words = problems.map(({ from, problem }) => `${from}: ${problem}`).join("\n");
      if (words !== "") {
        this.#warn(repository.name, `${head.branch} at ${head.commit.slice(0, 12)}: ${words}`);
        await onProblem(repository, source, words);
      }
      return runIds;
    });
  }

  #warn(repository: string, message: string): void {
    this.#options.events.record({ kind: "repository", name: repository, reason: "Poll", message, warning: true });
  }
}

function newHeads(before: Readonly<Record<string, string>>, now: Readonly<Record<string, string>>): NewHead[] {
  const known = new Map(Object.entries(before));
  return Object.entries(now)
    .filter(([branch, commit]) => known.get(branch) !== commit)
    .map(([branch, commit]) => ({ branch, commit, before: known.get(branch) ?? "" }));
}

async function sourceOf(repository: Repository, { branch, commit, before }: NewHead, clone: Clone): Promise<Source> {
  const head = await clone.fetchCommit(commit, `refs/heads/${branch}`);
  const old =
    before === "" ? undefined : await clone.fetchCommit(before, `refs/heads/${branch}`).catch(() => undefined);
  const changed = old === undefined ? undefined : await clone.changed(old, head);
  const { message, author } = await clone.describe(head);
  return create(SourceSchema, {
    repository: repository.url,
    repositoryName: repository.name,
    event: SourceEvent.POLL,
    changed: changed ?? [],
    ...{ commit: head, branch, ref: branch, message, author },
  });
}

/** What the next look may find gone. */
function isPassing(error: unknown): boolean {
  return isKedgeError(error, "GIT_FAILED") || isKedgeError(error, "TIMEOUT") || isKedgeError(error, "SECRET_NOT_FOUND");
}
