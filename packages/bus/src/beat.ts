import type { Bus } from "./bus.ts";
import { BEAT_SUBJECT } from "./subjects.ts";

/** Tells all nodes that there is a leader; not acknowledged, dropped while disconnected. */
export function publishBeat(bus: Bus): void {
  if (bus.connected) bus.connection.publish(BEAT_SUBJECT);
}

/** Calls back whenever the leader says that it is there; the result unsubscribes. */
export function subscribeBeats(bus: Bus, callback: () => void): () => void {
  const onMessage = (error: Error | null): void => {
    if (error === null) callback();
    else bus.logger.error({ err: error, subject: BEAT_SUBJECT }, "a subscription failed");
  };
  const subscription = bus.connection.subscribe(BEAT_SUBJECT, { callback: onMessage });
  return () => subscription.unsubscribe();
}
