import { KedgeError } from "@kedge/domain";
import type { Bus } from "./bus.ts";
import { directGet } from "./direct-get.ts";
import { busError } from "./nats-error.ts";
import { STREAMS, subjects } from "./subjects.ts";
import { whileConnected } from "./while-connected.ts";

/** Which webhook delivery a body is of. */
export interface HookBodyName {
  readonly repository: string;
  readonly id: string;
}

const PART_BYTES = 512 * 1024;
const TIMEOUT_MS = 10_000;

/**
 * Stores the body of a delivery in parts; resolves with their number when all of them are on disk. Storing it again
 * replaces it.
 *
 * @throws KedgeError BUS_UNAVAILABLE.
 */
export async function putHookBody(bus: Bus, { repository, id }: HookBodyName, body: Uint8Array): Promise<number> {
  const parts = Math.max(1, Math.ceil(body.byteLength / PART_BYTES));
  for (let part = 0; part < parts; part++) {
    const bytes = body.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
    const subject = subjects.hookBody(repository, id, part);
    try {
      await whileConnected(bus, () => bus.jetstream.publish(subject, bytes, { timeout: TIMEOUT_MS }));
    } catch (error) {
      throw busError(error, `storing delivery ${id} of ${repository}`);
    }
  }
  return parts;
}

/**
 * The body of a delivery that is stored in so many parts; undefined when it is no longer kept.
 *
 * @throws KedgeError BUS_UNAVAILABLE.
 */
export async function getHookBody(
  bus: Bus,
  { repository, id }: HookBodyName,
  parts: number,
): Promise<Uint8Array | undefined> {
  const found: Uint8Array[] = [];
  for (let part = 0; part < parts; part++) {
    const stored = await directGet(bus, STREAMS.hooks, subjects.hookBody(repository, id, part));
    if (stored === undefined) return undefined;
    found.push(stored.data);
  }
  return Buffer.concat(found);
}

/** Forgets the bodies of a repository. May be called twice. */
export async function purgeHookBodies(bus: Bus, repository: string): Promise<void> {
  try {
    await bus.manager.streams.purge(STREAMS.hooks, { filter: subjects.hookBodies(repository) });
  } catch (error) {
    throw error instanceof KedgeError ? error : busError(error, `forgetting deliveries of ${repository}`);
  }
}
