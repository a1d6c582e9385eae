import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  PersistMode,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { type Bus, serverAtLeast } from "./bus.ts";
import { busError } from "./nats-error.ts";
import {
  ALL_NODES,
  BUCKETS,
  type BucketName,
  bucketStream,
  DOCUMENT_BUCKETS,
  offersConsumer,
  STREAMS,
  subjects,
} from "./subjects.ts";

/** How the store is laid out. */
export interface ProvisionOptions {
  /** Copies of every stream: 1 for one server, 3 for a cluster. */
  readonly replicas: number;
  /** Log bytes kept over all runs; default 4 GiB. The oldest go first. */
  readonly logBytes?: number;
}

type StreamPlan = Partial<StreamConfig> & { readonly name: string; readonly subjects: string[] };

const SECOND_NS = 1_000_000_000;
const DAY_NS = 86_400 * SECOND_NS;
const MAX_NODES = 100_000;
const DEFAULT_LOG_BYTES = 4 * 1024 ** 3;
const HOOK_BYTES = 1024 ** 3;
const CONSUMER_NOT_FOUND = 10014;
const STREAM_NOT_FOUND = 10059;

/** How long an offer that was pulled but not answered stays with its node before it is handed out again. */
const OFFER_ACK_WAIT_NS = 10 * SECOND_NS;

/**
 * Makes every stream and bucket, or brings those that are there up to date. May be called at each start.
 *
 * @throws KedgeError BUS_UNAVAILABLE.
 */
export async function provisionStore(bus: Bus, options: ProvisionOptions): Promise<void> {
  const quick = serverAtLeast(bus, 2, 12) && options.replicas === 1;
  for (const plan of [...streamPlans(options, quick), ...BUCKETS.map(bucketPlan)]) {
    // Since 2.15 a stream that does not say otherwise has 1,000 consumers at most; every node has one for its offers.
    const limit = plan.name === STREAMS.offers && serverAtLeast(bus, 2, 15) ? { max_consumers: MAX_NODES } : {};
    await applyStream(bus, { ...BASE, ...plan, ...limit, num_replicas: options.replicas });
  }
}

/** A node holds on to its decisions and tells them again: what one that floods pushes out is its own. */
const DECISION_LIMITS = { max_msgs_per_subject: 64, max_msg_size: 16_384, max_age: 30 * DAY_NS };

const BASE: Partial<StreamConfig> = {
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  allow_rollup_hdrs: false,
  duplicate_window: 120 * SECOND_NS,
};

/**
 * @param quick the server can acknowledge before it has flushed to disk. That is enough for offers, which follow from
 *   the run's document and are made again, and for events, which are for people.
 */
function streamPlans({ logBytes }: ProvisionOptions, quick: boolean): StreamPlan[] {
  const persistence = quick ? { persist_mode: PersistMode.Async } : {};
  return [
    {
      name: STREAMS.offers,
      subjects: [ALL_NODES.offers],
      retention: RetentionPolicy.Workqueue,
      max_age: DAY_NS,
      ...persistence,
    },
    // Direct get lets an agent see whether a claim whose answer was lost had won.
    { name: STREAMS.tasks, subjects: [ALL_NODES.taskEvents], max_age: 7 * DAY_NS, allow_direct: true },
    { name: STREAMS.decisions, subjects: [ALL_NODES.decisions], ...DECISION_LIMITS },
    { name: STREAMS.leases, subjects: [ALL_NODES.leases], max_msgs_per_subject: 1 },
    {
      name: STREAMS.logs,
      subjects: [ALL_NODES.logs],
      max_age: 14 * DAY_NS,
      max_bytes: logBytes ?? DEFAULT_LOG_BYTES,
    },
    { name: STREAMS.events, subjects: ["kedge.event.>"], max_age: 30 * DAY_NS, max_msgs: 100_000, ...persistence },
    // An audit trail: kept whole, and nobody can take a line out.
    { name: STREAMS.flagChanges, subjects: ["kedge.flag.>"], deny_delete: true, deny_purge: true },
    {
      name: STREAMS.hooks,
      subjects: ["kedge.hook.>"],
      max_msgs_per_subject: 1,
      max_age: 14 * DAY_NS,
      max_bytes: HOOK_BYTES,
      allow_direct: true,
    },
    {
      name: STREAMS.chunks,
      subjects: ["kedge.chunk.*"],
      max_msgs_per_subject: 1,
      discard: DiscardPolicy.New,
      discard_new_per_subject: true,
      allow_direct: true,
    },
  ];
}

/** The layout the NATS clients know as a key-value bucket with a history of one. */
function bucketPlan(bucket: BucketName): StreamPlan {
  const isDocument = DOCUMENT_BUCKETS.some((name) => name === bucket);
  return {
    name: bucketStream(bucket),
    subjects: [`$KV.${bucket}.>`],
    max_msgs_per_subject: 1,
    discard: DiscardPolicy.New,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
    ...(isDocument ? { republish: { src: `$KV.${bucket}.>`, dest: `kedge.doc.${bucket}.>` } } : {}),
  };
}

async function applyStream(bus: Bus, config: Partial<StreamConfig> & { readonly name: string }): Promise<void> {
  try {
    const exists = await bus.manager.streams.info(config.name).then(() => true, isMissing(STREAM_NOT_FOUND));
    if (exists) await bus.manager.streams.update(config.name, config);
    else await bus.manager.streams.add(config);
  } catch (error) {
    throw busError(error, `provisioning ${config.name}`);
  }
}

/** Turns "there is none" into false and lets every other failure pass. */
function isMissing(code: number): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof JetStreamApiError && error.code === code) return false;
    throw error;
  };
}

/** Makes the consumer a node pulls its offers from. May be called twice. */
export async function addNode(bus: Bus, nodeId: string): Promise<void> {
  try {
    await bus.manager.consumers.add(STREAMS.offers, {
      durable_name: offersConsumer(nodeId),
      filter_subject: subjects.offers(nodeId),
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: OFFER_ACK_WAIT_NS,
      max_deliver: -1,
      max_ack_pending: 1_000,
      max_waiting: 8,
    });
  } catch (error) {
    throw busError(error, `adding node ${nodeId}`);
  }
}

/** Removes the node's consumer, its unclaimed offers, its lease and its decisions. May be called twice. */
export async function removeNode(bus: Bus, nodeId: string): Promise<void> {
  try {
    await bus.manager.consumers.delete(STREAMS.offers, offersConsumer(nodeId)).catch(isMissing(CONSUMER_NOT_FOUND));
    await bus.manager.streams.purge(STREAMS.offers, { filter: subjects.offers(nodeId) });
    await bus.manager.streams.purge(STREAMS.leases, { filter: subjects.lease(nodeId) });
    await bus.manager.streams.purge(STREAMS.decisions, { filter: subjects.decisions(nodeId) });
  } catch (error) {
    throw busError(error, `removing node ${nodeId}`);
  }
}
