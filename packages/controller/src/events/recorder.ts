import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Bus, publishEvent } from "@kedge/bus";
import type { Clock, Logger } from "@kedge/kernel";
import { EventSchema, EventSeverity } from "@kedge/proto";

/** One thing that happened. */
export interface EventInput {
  readonly kind:
    | "run"
    | "job"
    | "node"
    | "model"
    | "deployment"
    | "rollout"
    | "incident"
    | "flag"
    | "repository"
    | "secret"
    | "controller";
  readonly name: string;
  /** PascalCase, one word per meaning. */
  readonly reason: string;
  readonly message: string;
  readonly warning?: boolean;
  readonly fields?: Readonly<Record<string, string>>;
}

/** Tells people what happened. Never fails and never waits: an event that cannot be stored is logged only. */
export class EventRecorder {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(bus: Bus, clock: Clock, logger: Logger) {
    this.#bus = bus;
    this.#clock = clock;
    this.#logger = logger;
  }

  record(input: EventInput): void {
    const event = create(EventSchema, {
      at: timestampFromMs(this.#clock.now()),
      severity: input.warning ? EventSeverity.WARNING : EventSeverity.INFO,
      kind: input.kind,
      name: input.name,
      reason: input.reason,
      message: input.message,
      fields: { ...input.fields },
    });
    publishEvent(this.#bus, event).catch((error: unknown) => {
      this.#logger.warn({ err: error, kind: input.kind, name: input.name, reason: input.reason }, "event not stored");
    });
  }
}
