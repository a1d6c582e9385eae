import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  type Heartbeat,
  HeartbeatSchema,
  type LeaseRenewal,
  LeaseRenewalSchema,
  type Window,
  WindowSchema,
} from "@kedge/proto";
import type { Msg } from "@nats-io/nats-core";
import type { Bus } from "./bus.ts";
import { publishOnce } from "./publish.ts";
import { readStream } from "./stream-reader.ts";
import { ALL_NODES, type NodeSubject, parseNodeSubject, STREAMS, subjects } from "./subjects.ts";

/** A renewal with the time the server stored it. */
export interface StoredLease {
  readonly nodeId: string;
  readonly renewal: LeaseRenewal;
  /** Server's wall time, milliseconds since 1970. */
  readonly atMs: number;
}

/** Sends a heartbeat; not acknowledged, dropped while disconnected. */
export function publishHeartbeat(bus: Bus, heartbeat: Heartbeat): void {
  publishCore(bus, subjects.heartbeat(heartbeat.nodeId), toBinary(HeartbeatSchema, heartbeat));
}

/** Sends what a gateway saw in one tick; not acknowledged, dropped while disconnected. */
export function publishWindow(bus: Bus, window: Window): void {
  publishCore(bus, subjects.metrics(window.nodeId, window.deployment), toBinary(WindowSchema, window));
}

function publishCore(bus: Bus, subject: string, bytes: Uint8Array): void {
  if (bus.connected) bus.connection.publish(subject, bytes);
}

/**
 * Renews a node's lease once, without retries: a later renewal says more than a repeated one. Count the lease from the
 * moment before the call.
 *
 * @throws KedgeError BUS_UNAVAILABLE when the renewal was not confirmed.
 */
export async function renewLease(bus: Bus, renewal: LeaseRenewal): Promise<void> {
  await publishOnce(bus, subjects.lease(renewal.nodeId), toBinary(LeaseRenewalSchema, renewal), { attempts: 1 });
}

/** Calls back with every heartbeat whose sender is the node it speaks of; the result unsubscribes. */
export function subscribeHeartbeats(bus: Bus, callback: (heartbeat: Heartbeat) => void): () => void {
  const isOwn = (heartbeat: Heartbeat, sender: NodeSubject): boolean => heartbeat.nodeId === sender.nodeId;
  return subscribeOwn(bus, { filter: ALL_NODES.heartbeats, schema: HeartbeatSchema, isOwn, callback });
}

/** Calls back with every window whose subject names the node and deployment it speaks of; the result unsubscribes. */
export function subscribeWindows(bus: Bus, callback: (window: Window) => void): () => void {
  const isOwn = (window: Window, sender: NodeSubject): boolean =>
    window.nodeId === sender.nodeId && window.deployment === sender.rest[0];
  return subscribeOwn(bus, { filter: ALL_NODES.metrics, schema: WindowSchema, isOwn, callback });
}

/**
 * Calls back with the newest renewal of every node, then with each new one, timed by the server's clock. Resolves when
 * the signal aborts. `onCaughtUp` is called once, after the renewals that were stored at the beginning.
 */
export async function watchLeases(
  bus: Bus,
  callback: (lease: StoredLease) => void,
  signal: AbortSignal,
  onCaughtUp: () => void = () => {},
): Promise<void> {
  const isOwn = (renewal: LeaseRenewal, sender: NodeSubject): boolean => renewal.nodeId === sender.nodeId;
  const options = { stream: STREAMS.leases, filter: ALL_NODES.leases, from: "last-per-subject", follow: true } as const;
  for await (const reading of readStream(bus, options, signal)) {
    if (reading.kind === "caught-up") {
      onCaughtUp();
      continue;
    }
    const { message } = reading;
    const renewal = decodeOwn(message, { schema: LeaseRenewalSchema, isOwn });
    if (renewal === undefined) bus.logger.warn({ subject: message.subject }, DROPPED);
    else callback({ nodeId: renewal.nodeId, renewal, atMs: message.time.getTime() });
  }
}

const DROPPED = "dropped a message that is not the sender's own";

interface OwnCheck<D extends DescMessage> {
  readonly schema: D;
  readonly isOwn: (message: MessageShape<D>, sender: NodeSubject) => boolean;
}

interface OwnSubscription<D extends DescMessage> extends OwnCheck<D> {
  readonly filter: string;
  readonly callback: (message: MessageShape<D>) => void;
}

function subscribeOwn<D extends DescMessage>(bus: Bus, options: OwnSubscription<D>): () => void {
  const onMessage = (error: Error | null, message: Msg): void => {
    if (error !== null) {
      bus.logger.error({ err: error, subject: options.filter }, "a subscription failed");
      return;
    }
    const own = decodeOwn(message, options);
    if (own === undefined) bus.logger.warn({ subject: message.subject }, DROPPED);
    else options.callback(own);
  };
  const subscription = bus.connection.subscribe(options.filter, { callback: onMessage });
  return () => subscription.unsubscribe();
}

/** Decodes what a node sent; undefined for bytes that are no such message, and for one about somebody else. */
export function decodeOwn<D extends DescMessage>(
  message: { readonly subject: string; readonly data: Uint8Array },
  { schema, isOwn }: OwnCheck<D>,
): MessageShape<D> | undefined {
  const sender = parseNodeSubject(message.subject);
  if (sender === undefined) return undefined;
  try {
    const decoded = fromBinary(schema, message.data);
    return isOwn(decoded, sender) ? decoded : undefined;
  } catch {
    // Not a message of this type; the caller logs what it drops.
    return undefined;
  }
}
