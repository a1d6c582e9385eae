import { type Bus, getHookBody, type StoredDocument } from "@kedge/bus";
import { errorMessage, KedgeError } from "@kedge/domain";
import { type Clock, jitter } from "@kedge/kernel";
import { type ForgeChange, isAddressOf, parseForgeEvent } from "@kedge/pipeline/forge";
import {
  type HookDelivery,
  type HookDeliverySchema,
  HookDeliveryState,
  type Repository,
  type Source,
} from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import { type ReadChange, readChange } from "./change-source.ts";
import { begun, deliveryKey, dueMs, type Ending, ended, failedOnce } from "./delivery-record.ts";
import type { GitCache } from "./git-cache.ts";
import { jsonOf, unpackBody } from "./hook-body.ts";
import type { PendingDeliveries } from "./pending-deliveries.ts";
import type { RunStarter } from "./run-starter.ts";

/** What deliveries are processed with. */
export interface DeliveryProcessorOptions {
  readonly bus: Bus;
  readonly stores: Pick<Stores, "deliveries" | "pipelines">;
  readonly cache: GitCache;
  readonly starter: RunStarter;
  readonly events: EventRecorder;
  readonly clock: Clock;
  /** Called with the commit that a branch has now. */
  readonly onPush: (repository: Repository, branch: string, commit: string) => void;
  /** Called with what is wrong with the pipelines of a commit. */
  readonly onProblem: (repository: Repository, source: Source, problem: string) => Promise<void>;
}

type Stored = StoredDocument<typeof HookDeliverySchema>;
type Outcome = Omit<Ending, "nowMs">;

const { DONE, FAILED, IGNORED } = HookDeliveryState;

/** Turns stored webhooks into runs, those of one repository in the order in which they came. */
export class DeliveryProcessor {
  readonly #options: DeliveryProcessorOptions;
  readonly #pending: PendingDeliveries;

  constructor(options: DeliveryProcessorOptions, pending: PendingDeliveries) {
    this.#options = options;
    this.#pending = pending;
  }

  /** Processes what is due; gives the time at which more is, if more is. */
  async process(repository: Repository, signal: AbortSignal): Promise<number | undefined> {
    let nextMs: number | undefined;
    for (const key of this.#pending.of(repository.name)) {
      const stored = this.#options.stores.deliveries.get(key);
      const due = stored === undefined ? undefined : dueMs(stored.value);
      if (stored === undefined || due === undefined) continue;
      signal.throwIfAborted();
      const again = due > this.#options.clock.now() ? due : await this.#one(repository, stored, signal);
      if (again !== undefined) nextMs = Math.min(again, nextMs ?? again);
    }
    return nextMs;
  }

  async #one(repository: Repository, stored: Stored, signal: AbortSignal): Promise<number | undefined> {
    const { clock } = this.#options;
    const counted = await this.#store(stored, begun(stored.value, clock.now(), jitter()));
    let after: HookDelivery;
    try {
      const outcome = await this.#attempt(repository, counted.value, signal);
      after = ended(counted.value, { ...outcome, nowMs: clock.now() });
    } catch (error) {
      if (signal.aborted) throw error;
      after = failedOnce(counted.value, errorMessage(error), clock.now());
    }
    await this.#store(counted, after);
    if (after.state === FAILED) this.#tellFailure(after);
    return dueMs(after);
  }

  async #attempt(repository: Repository, delivery: HookDelivery, signal: AbortSignal): Promise<Outcome> {
    const packed = await getHookBody(this.#options.bus, delivery, delivery.parts);
    if (packed === undefined) return { state: FAILED, message: "its body is no longer kept" };
    const json = jsonOf(await unpackBody(packed));
    if (json === undefined) return { state: FAILED, message: "the body is no JSON" };
    const event = parseForgeEvent(repository.forge, delivery.event, json.value);
    if (event.kind === "malformed") return { state: FAILED, message: event.why };
    if (event.kind === "nothing") return { state: IGNORED, message: event.why };
    if (!isAddressOf(repository.url, event.change.repository)) {
      const shown = JSON.stringify(event.change.repository.slice(0, 200));
      return { state: IGNORED, message: `it is about ${shown}, which is not at ${repository.url}` };
    }
    return this.#start(repository, delivery, event.change, signal);
  }

  #start(repository: Repository, delivery: HookDelivery, change: ForgeChange, signal: AbortSignal): Promise<Outcome> {
    const { cache, starter, onPush, onProblem } = this.#options;
    return cache.use(repository, signal, async (clone): Promise<Outcome> => {
      const read = await readChange(change, repository, clone).catch(unlessTransient);
      if ("problem" in read) return { state: FAILED, message: read.problem };
      const { source, filesAt, isSkipped } = read;
      if (source.branch !== "" && !source.fork) onPush(repository, source.branch, source.commit);
      if (isSkipped) return { state: IGNORED, message: "the head commit asks for no runs", source };
      const key = `hook/${repository.name}/${delivery.id}/${delivery.redeliveries}`;
      const { runIds, problems, why } = await starter.start({ repository, source, filesAt, clone, key });
      const words = problems.map(({ from, problem }) => `${from}: ${problem}`).join("\n");
      if (words !== "") await onProblem(repository, source, words);
      const started = runIds.length === 1 ? "started a run" : `started ${runIds.length} runs`;
      const message = [runIds.length > 0 ? started : why, words].filter(Boolean).join("\n");
      const state = words !== "" ? FAILED : runIds.length > 0 ? DONE : IGNORED;
      return { state, message, runIds, source };
    });
  }

  #tellFailure({ repository, id, message }: HookDelivery): void {
    this.#options.events.record({
      kind: "repository",
      name: repository,
      reason: "DeliveryFailed",
      message: `delivery ${id.slice(0, 12)}: ${message}`,
      warning: true,
      fields: { delivery: id },
    });
  }

  #store(before: Stored, value: HookDelivery): Promise<Stored> {
    return this.#options.stores.deliveries.update(deliveryKey(value.repository, value.id), value, before.revision);
  }
}

/** What does not go away by itself is an outcome. */
function unlessTransient(error: unknown): { readonly problem: string } | ReadChange {
  if (error instanceof KedgeError && !error.retryable) return { problem: error.message };
  throw error;
}
