import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Clock, Logger } from "@kedge/kernel";
import { type TaskEvent, TaskEventSchema, type TaskRefFull } from "@kedge/proto";
import { untilDone } from "./until-done.ts";

/** What an EventOutbox works with. */
export interface EventOutboxOptions {
  readonly ref: TaskRefFull;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stores one event; must be harmless to repeat with the same event. */
  readonly publish: (event: TaskEvent) => Promise<void>;
  /** Aborts when nobody may hear of this task any more. */
  readonly signal: AbortSignal;
}

/** Publishes one task's events in order, off the path of the work. Bounded by the number of the task's steps. */
export class EventOutbox {
  readonly #options: EventOutboxOptions;
  #tail: Promise<void> = Promise.resolve();

  constructor(options: EventOutboxOptions) {
    this.#options = options;
  }

  /** Queues an event. The first is sent only after the caller's turn, so that work it starts now goes first. */
  post(event: NonNullable<MessageInitShape<typeof TaskEventSchema>["event"]>): void {
    const { ref, clock, logger, publish, signal } = this.#options;
    const message = create(TaskEventSchema, { ref, at: timestampFromMs(clock.now()), event });
    this.#tail = this.#tail.then(async () => {
      await clock.sleep(0);
      await untilDone(() => publish(message), { clock, logger, signal, what: "task event" });
    });
  }

  /** Resolves when all events posted so far are stored, or the signal has aborted. */
  async drain(): Promise<void> {
    await this.#tail;
  }
}
