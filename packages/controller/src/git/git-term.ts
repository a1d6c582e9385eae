import { join } from "node:path";
import type { Bus } from "@kedge/bus";
import { type Clock, type Logger, Reconciler } from "@kedge/kernel";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import { CronRunner } from "./cron-runner.ts";
import { DeliveryProcessor } from "./delivery-processor.ts";
import { GitCache } from "./git-cache.ts";
import { collectGitRecords } from "./git-retention.ts";
import { PendingDeliveries } from "./pending-deliveries.ts";
import { type Polled, Poller } from "./poller.ts";
import { RepositoryWatch } from "./repository-watch.ts";
import { RunStarter, type Submit } from "./run-starter.ts";
import { type StatusOutcome, StatusSender } from "./status-sender.ts";

/** What a term of watching repositories works with. */
export interface GitTermOptions {
  readonly bus: Bus;
  readonly stores: Stores;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Folder of the controller. */
  readonly dataDir: string;
  /** The value of a secret by its name. @throws KedgeError SECRET_NOT_FOUND, SECRET_KEY_LOST. */
  readonly secret: (name: string) => Promise<string>;
  readonly submit: Submit;
  readonly onStatus: (repository: string, outcome: StatusOutcome) => void;
}

/** Repositories worked on at once, and forges told at once. */
const CONCURRENCY = 4;
const JANITOR_KEY = "retention";
const JANITOR_MS = 600_000;

/** What repositories start and what forges are told, for one term as the leader. */
export class GitTerm {
  readonly #options: GitTermOptions;
  readonly #pending: PendingDeliveries;
  readonly #poller: Poller;
  readonly #watch: RepositoryWatch;
  readonly #repositories: Reconciler;
  readonly #notes: Reconciler;
  readonly #statuses: Reconciler;
  readonly #janitor: Reconciler;
  readonly #abort = new AbortController();
  #stops: (() => void)[] = [];

  constructor(options: GitTermOptions) {
    this.#options = options;
    const { bus, stores, events, clock, logger } = options;
    const cache = new GitCache({ dir: join(options.dataDir, "git"), clock, secret: options.secret });
    const starter = new RunStarter({ stores, submit: options.submit });
    const sender = new StatusSender({ stores, clock, secret: options.secret, onOutcome: options.onStatus });
    const told = {
      onPush: (...push: Parameters<RepositoryWatch["notePush"]>) => this.#watch.notePush(...push),
      onProblem: (...problem: Parameters<StatusSender["noteProblem"]>) => sender.noteProblem(...problem),
    };
    const shared = { bus, stores, cache, starter, events, clock, ...told };
    this.#pending = new PendingDeliveries(stores);
    this.#poller = new Poller(shared);
    this.#watch = new RepositoryWatch({
      ...shared,
      deliveries: new DeliveryProcessor(shared, this.#pending),
      cron: new CronRunner(shared),
      poller: this.#poller,
    });
    const loop = (name: string, reconcile: ConstructorParameters<typeof Reconciler>[0]["reconcile"]) =>
      new Reconciler({ name: `git/${name}`, clock, logger, concurrency: CONCURRENCY, reconcile });
    this.#repositories = loop("repositories", (key, signal) => this.#watch.reconcile(key, signal));
    this.#notes = loop("notes", (runId) => sender.note(runId));
    this.#statuses = loop("statuses", (key, signal) => sender.send(key, signal));
    this.#janitor = loop("janitor", async () => {
      await collectGitRecords(stores, clock);
      return { requeueAfterMs: JANITOR_MS };
    });
  }

  /** Starts with a look at everything. Call once, with the stores read. */
  start(): void {
    const { stores } = this.#options;
    this.#stops = [
      stores.repositories.onChange((name) => this.#repositoryChanged(name)),
      stores.pipelines.onChange((name) => this.#pipelineChanged(name)),
      stores.runs.onChange((runId) => this.#runChanged(runId)),
      stores.commitStatuses.onChange((key) => this.#statuses.add(key)),
      () => this.#pending.stop(),
    ];
    this.#pending.start((repository) => this.#repositories.add(repository));
    for (const [name] of stores.repositories.entries()) this.#repositories.add(name);
    for (const [, { value }] of stores.repositoryStates.entries()) this.#repositories.add(value.name);
    for (const [runId] of stores.runs.entries()) this.#runChanged(runId);
    for (const [key] of stores.commitStatuses.entries()) this.#statuses.add(key);
    this.#janitor.add(JANITOR_KEY);
    for (const each of this.#loops()) each.start();
  }

  /** May be called twice. What is under way is given up, and done by the next term. */
  async stop(): Promise<void> {
    this.#abort.abort();
    for (const stop of this.#stops.splice(0)) stop();
    await Promise.all(this.#loops().map((each) => each.stop()));
  }

  /** Looks for new heads of a repository's branches now. */
  poll(name: string): Promise<Polled> | undefined {
    const repository = this.#options.stores.repositories.get(name)?.value;
    return repository === undefined ? undefined : this.#poller.poll(repository, this.#abort.signal);
  }

  /** Keys waiting, by loop. */
  queueDepths(): Readonly<Record<string, number>> {
    return { repositories: this.#repositories.depth, commit_statuses: this.#statuses.depth };
  }

  #loops(): Reconciler[] {
    return [this.#repositories, this.#notes, this.#statuses, this.#janitor];
  }

  #repositoryChanged(name: string): void {
    this.#repositories.add(name);
    for (const [key, { value }] of this.#options.stores.commitStatuses.entries()) {
      if (value.repository === name) this.#statuses.add(key);
    }
  }

  #pipelineChanged(name: string): void {
    for (const [repository, { value }] of this.#options.stores.repositories.entries()) {
      if (!value.pipelines.includes(name)) continue;
      this.#watch.noteStale(repository);
      this.#repositories.add(repository);
    }
  }

  #runChanged(runId: string): void {
    const source = this.#options.stores.runs.get(runId)?.value.source;
    if (source !== undefined && source.repositoryName !== "") this.#notes.add(runId);
  }
}
