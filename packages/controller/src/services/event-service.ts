import { type Bus, readEvents } from "@kedge/bus";
import type { EventService } from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";

const MAX_HISTORY = 1000;

/** EventService: what happened, then what happens. */
export function createEventService(bus: Bus): ServiceImplementation<typeof EventService> {
  return {
    watchEvents: async function* (request, context) {
      const filter = {
        ...(request.kind === "" ? {} : { kind: request.kind }),
        ...(request.name === "" ? {} : { name: request.name }),
        history: Math.min(request.history, MAX_HISTORY),
        follow: !request.noFollow,
      };
      for await (const event of readEvents(bus, filter, context.signal)) yield { event };
    },
  };
}
