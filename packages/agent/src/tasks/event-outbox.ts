import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Clock, Logger } from "@kedge/kernel";
import { type StepStatus, type TaskEvent, TaskEventSchema, type TaskFinished, type TaskRefFull } from "@kedge/proto";
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

type Event = NonNullable<MessageInitShape<typeof TaskEventSchema>["event"]>;

const HOLD_MS = 100;

/**
 * Publishes one task's events in order, off the path of the work. Events are held for 100 ms: those of a task that is
 * over by then travel with its end, which is one message to store instead of four. Bounded by the number of steps.
 */
export class EventOutbox {
  readonly #options: EventOutboxOptions;
  #held: TaskEvent[] = [];
  #cancelHold: () => void = () => {};
  #tail: Promise<void> = Promise.resolve();

  constructor(options: EventOutboxOptions) {
    this.#options = options;
  }

  /** Queues an event; it is sent within 100 ms unless `takeSteps` takes it back. */
  post(event: Exclude<Event, { case: "finished" }>): void {
    if (this.#held.length === 0) this.#cancelHold = this.#options.clock.after(HOLD_MS, () => this.#release());
    this.#held.push(this.#message(event));
  }

  /** Takes back what is held: the newest status of each step, for the task's end. Nothing else is worth telling then. */
  takeSteps(): StepStatus[] {
    this.#cancelHold();
    const steps = new Map<string, StepStatus>();
    for (const { event } of this.#held.splice(0)) {
      if (event.case === "step") steps.set(event.value.name, event.value);
    }
    return [...steps.values()];
  }

  /** Sends the end after everything else; resolves when it is stored, or the signal has aborted. */
  async finish(value: TaskFinished): Promise<void> {
    this.#release();
    this.#send(this.#message({ case: "finished", value }));
    await this.#tail;
  }

  #message(event: Event): TaskEvent {
    const { ref, clock } = this.#options;
    return create(TaskEventSchema, { ref, at: timestampFromMs(clock.now()), event });
  }

  #release(): void {
    this.#cancelHold();
    for (const message of this.#held.splice(0)) this.#send(message);
  }

  #send(message: TaskEvent): void {
    const { clock, logger, publish, signal } = this.#options;
    this.#tail = this.#tail.then(async () => {
      await untilDone(() => publish(message), { clock, logger, signal, what: "task event" });
    });
  }
}
