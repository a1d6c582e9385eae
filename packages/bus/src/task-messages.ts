import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { KedgeError } from "@kedge/domain";
import {
  SignedSchema,
  type TaskEvent,
  TaskEventSchema,
  type TaskOffer,
  TaskOfferSchema,
  type TaskRefFull,
} from "@kedge/proto";
import type { Bus } from "./bus.ts";
import { directGet } from "./direct-get.ts";
import { busError, isLostRace } from "./nats-error.ts";
import { publishOnce } from "./publish.ts";
import type { Signer } from "./signing.ts";
import { STREAMS, subjects } from "./subjects.ts";
import { whileConnected } from "./while-connected.ts";

/** What a withdrawal found: the task is taken back for good, or its agent has it. */
export type WithdrawOutcome = "withdrawn" | "claimed";

/** What a claim found: the task is this boot's, or somebody else's decision came first. */
export type ClaimOutcome = "claimed" | "lost";

function refOf(message: TaskOffer | TaskEvent): TaskRefFull {
  if (message.ref !== undefined) return message.ref;
  throw new KedgeError("INVALID_FIELD", "a task message needs a ref", { field: "ref" });
}

/**
 * Puts a signed offer into its node's queue. Offering the same task again within two minutes changes nothing.
 *
 * @throws KedgeError BUS_UNAVAILABLE (it may have been offered all the same), TOO_LARGE.
 */
export async function offerTask(bus: Bus, signer: Signer, offer: TaskOffer): Promise<void> {
  const ref = refOf(offer);
  const signed = signer.sign(TaskOfferSchema, offer, ref.nodeId);
  await publishOnce(bus, subjects.offers(ref.nodeId), toBinary(SignedSchema, signed), { messageId: ref.taskId });
}

/**
 * Takes an offer back, unless its agent was faster. Idempotent; the answer never changes. After "withdrawn" no claim
 * of this task can succeed. The offer itself may still reach the agent, whose claim is then "lost".
 */
export async function withdrawTask(bus: Bus, ref: TaskRefFull, reason: string): Promise<WithdrawOutcome> {
  const at = timestampFromMs(bus.clock.now());
  const event = create(TaskEventSchema, { ref, at, event: { case: "withdrawn", value: { reason } } });
  const won = await decideTask(bus, event);
  if (won) return "withdrawn";
  const first = await firstTaskEvent(bus, ref);
  return first?.event.case === "withdrawn" ? "withdrawn" : "claimed";
}

/**
 * Claims an offered task for this boot of the agent. "lost": the controller has taken it back, or another boot of this
 * agent has it. May be called again when the outcome is unknown; it then answers what was decided the first time.
 *
 * @throws KedgeError BUS_UNAVAILABLE when the outcome is unknown.
 */
export async function claimTask(bus: Bus, ref: TaskRefFull, bootId: string): Promise<ClaimOutcome> {
  const at = timestampFromMs(bus.clock.now());
  const event = create(TaskEventSchema, { ref, at, event: { case: "claimed", value: { bootId } } });
  if (await decideTask(bus, event)) return "claimed";
  const subject = subjects.taskEvents(ref.nodeId, ref.taskId);
  const stored = await directGet(bus, STREAMS.tasks, subject);
  if (stored === undefined) {
    throw new KedgeError("BUS_UNAVAILABLE", `task ${ref.taskId} was decided, but this replica does not know it yet`);
  }
  const last = decodeTaskEvent(stored.data);
  return last?.event.case === "claimed" && last.event.value.bootId === bootId ? "claimed" : "lost";
}

/**
 * The newest event of a task, whether or not a consumer has read it yet; undefined when there is none or it is not
 * the task's own.
 *
 * @throws KedgeError BUS_UNAVAILABLE.
 */
export async function lastTaskEvent(bus: Bus, ref: TaskRefFull): Promise<TaskEvent | undefined> {
  const stored = await directGet(bus, STREAMS.tasks, subjects.taskEvents(ref.nodeId, ref.taskId));
  const event = stored === undefined ? undefined : decodeTaskEvent(stored.data);
  return event?.ref?.taskId === ref.taskId && event.ref.nodeId === ref.nodeId ? event : undefined;
}

/** Stores the event as the first of its task; false when there is a first one already. */
async function decideTask(bus: Bus, event: TaskEvent): Promise<boolean> {
  const ref = refOf(event);
  try {
    const subject = subjects.taskEvents(ref.nodeId, ref.taskId);
    const bytes = toBinary(TaskEventSchema, event);
    const expect = { lastSubjectSequence: 0 };
    await whileConnected(bus, () => bus.jetstream.publish(subject, bytes, { expect, timeout: 5_000 }));
    return true;
  } catch (error) {
    if (isLostRace(error)) return false;
    throw busError(error, `deciding task ${ref.taskId}`);
  }
}

/** The event that decided a task. For the controller only: the request reads a whole stream. */
async function firstTaskEvent(bus: Bus, ref: TaskRefFull): Promise<TaskEvent | undefined> {
  // Asks the stream's leader, not any replica: a replica may not have the message yet.
  const query = { seq: 1, next_by_subj: subjects.taskEvents(ref.nodeId, ref.taskId) };
  try {
    const stored = await bus.manager.streams.getMessage(STREAMS.tasks, query);
    return stored === null ? undefined : decodeTaskEvent(stored.data);
  } catch (error) {
    throw busError(error, `reading task ${ref.taskId}`);
  }
}

/** The event, or undefined for bytes that are none. */
export function decodeTaskEvent(bytes: Uint8Array): TaskEvent | undefined {
  try {
    return fromBinary(TaskEventSchema, bytes);
  } catch {
    // Bytes from an agent may be anything; the caller logs what it drops.
    return undefined;
  }
}

/**
 * Stores an event of a task; resolves when it is on disk. Retries within the call do not store it twice.
 *
 * @throws KedgeError BUS_UNAVAILABLE (it may have been stored all the same), TOO_LARGE.
 */
export async function publishTaskEvent(bus: Bus, event: TaskEvent): Promise<void> {
  const ref = refOf(event);
  await publishOnce(bus, subjects.taskEvents(ref.nodeId, ref.taskId), toBinary(TaskEventSchema, event));
}
