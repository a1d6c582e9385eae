import { KedgeError } from "@kedge/domain";
import type { Bus } from "./bus.ts";

const PATIENCE_MS = 5_000;

/**
 * Does a request once the bus is connected, and gives it up at once when the connection breaks: its answer could not
 * come any more. Whether the server has acted on it is then unknown.
 *
 * @throws KedgeError BUS_UNAVAILABLE after 5 s without a connection, or when the connection breaks.
 */
export async function whileConnected<T>(bus: Bus, request: () => Promise<T>): Promise<T> {
  if (!bus.connected) await untilConnected(bus);
  return await new Promise<T>((resolve, reject) => {
    const unsubscribe = bus.onStatus((status) => {
      unsubscribe();
      reject(new KedgeError("BUS_UNAVAILABLE", `NATS connection ${status} before the answer came`));
    });
    request().then(resolve, reject).finally(unsubscribe);
  });
}

/**
 * Resolves when the bus is connected.
 *
 * @throws KedgeError BUS_UNAVAILABLE after 5 s, when the signal aborts, or when the bus is closed.
 */
export async function untilConnected(bus: Bus, signal?: AbortSignal): Promise<void> {
  if (bus.connected) return;
  if (bus.connection.isClosed()) throw new KedgeError("BUS_UNAVAILABLE", "the NATS connection is closed");
  await new Promise<void>((resolve, reject) => {
    const fail = (): void => finish(() => reject(new KedgeError("BUS_UNAVAILABLE", "NATS does not answer")));
    const cancel = bus.clock.after(PATIENCE_MS, fail);
    const unsubscribe = bus.onStatus((status) => (status === "connected" ? finish(resolve) : fail()));
    const finish = (settle: () => void): void => {
      cancel();
      unsubscribe();
      signal?.removeEventListener("abort", fail);
      settle();
    };
    signal?.addEventListener("abort", fail, { once: true });
    if (signal?.aborted) fail();
  });
}
