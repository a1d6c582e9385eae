import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@kedge/proto";
import type { Bus } from "./bus.ts";
import { publishOnce } from "./publish.ts";
import { readStream } from "./stream-reader.ts";
import { STREAMS, subjects, subjectToken } from "./subjects.ts";

/** Which events are read. */
export interface ReadEventsOptions {
  /** Default: every kind. */
  readonly kind?: string;
  /** Default: every name. */
  readonly name?: string;
  /** How many past events come first, the newest of them; at most 1000. */
  readonly history: number;
  /** Go on with new events after that. */
  readonly follow: boolean;
}

const MAX_HISTORY = 1000;

/** Stores an event. Fails like every publish; callers for whom it is only news may ignore that. */
export async function publishEvent(bus: Bus, event: Event): Promise<void> {
  await publishOnce(bus, subjects.event(event.kind, event.name), toBinary(EventSchema, event));
}

/** Events in the order they were stored. Ends after the history, or with `follow` when the signal aborts. */
export async function* readEvents(bus: Bus, options: ReadEventsOptions, signal: AbortSignal): AsyncGenerator<Event> {
  const kind = options.kind ? subjectToken(options.kind, "kind") : "*";
  const name = options.name ? subjectToken(options.name, "name") : "*";
  const keep = Math.min(options.history, MAX_HISTORY);
  const history: Event[] = [];
  let isLive = false;
  const filter = `kedge.event.${kind}.${name}`;
  const read = { stream: STREAMS.events, filter, from: "all", follow: options.follow } as const;
  for await (const step of readStream(bus, read, signal)) {
    if (step.kind === "caught-up") {
      isLive = true;
      yield* history.splice(0);
      continue;
    }
    const event = fromBinary(EventSchema, step.message.data);
    if (isLive) yield event;
    else if (keep > 0) {
      history.push(event);
      if (history.length > keep) history.shift();
    }
  }
}
