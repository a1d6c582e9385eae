import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type FlagChange, FlagChangeSchema } from "@kedge/proto";
import type { Bus } from "./bus.ts";
import { busError, isLostRace } from "./nats-error.ts";
import { readStream } from "./stream-reader.ts";
import { STREAMS, subjects, subjectToken } from "./subjects.ts";
import { whileConnected } from "./while-connected.ts";

/** Which lines of the audit trail are read. */
export interface ReadFlagChangesOptions {
  /** Default: of all flags. */
  readonly flag?: string;
  /** The newest that many. */
  readonly limit: number;
  /** Only lines in front of this one, by its place in the trail. */
  readonly before?: number;
}

/** A line of the audit trail and its place in it. */
export interface StoredFlagChange {
  readonly change: FlagChange;
  readonly sequence: number;
}

const TIMEOUT_MS = 5_000;

/**
 * Writes a line of the audit trail of feature flags. One that is there already stays as it is: it may be called again.
 *
 * @throws KedgeError BUS_UNAVAILABLE (it may have been stored all the same).
 */
export async function recordFlagChange(bus: Bus, change: FlagChange): Promise<void> {
  const subject = subjects.flagChange(change.flag, change.id);
  const options = { expect: { lastSubjectSequence: 0 }, timeout: TIMEOUT_MS };
  try {
    await whileConnected(bus, () => bus.jetstream.publish(subject, toBinary(FlagChangeSchema, change), options));
  } catch (error) {
    if (!isLostRace(error)) throw busError(error, `writing the change ${change.id} of flag ${change.flag}`);
  }
}

/** Lines of the audit trail, newest first. Reads the trail of the flag from its beginning. */
export async function readFlagChanges(
  bus: Bus,
  { flag, limit, before = Number.POSITIVE_INFINITY }: ReadFlagChangesOptions,
  signal: AbortSignal,
): Promise<StoredFlagChange[]> {
  const filter = `kedge.flag.${flag === undefined ? "*" : subjectToken(flag, "flag")}.*`;
  const found: { sequence: number; data: Uint8Array }[] = [];
  const read = { stream: STREAMS.flagChanges, filter, from: "all", follow: false } as const;
  for await (const step of readStream(bus, read, signal)) {
    if (step.kind !== "message") continue;
    if (step.message.seq >= before) break;
    found.push({ sequence: step.message.seq, data: step.message.data });
    if (found.length > limit) found.shift();
  }
  return found.reverse().map(({ sequence, data }) => ({ change: fromBinary(FlagChangeSchema, data), sequence }));
}
