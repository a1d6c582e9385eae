export { Authority, type AuthorityOptions, type BusCredentials, openAuthority } from "./authority.ts";
export { publishBeat, subscribeBeats } from "./beat.ts";
export { type Bus, type BusOptions, type BusStatus, connectBus, serverAtLeast } from "./bus.ts";
export type { KeyedCertificate } from "./certificates.ts";
export {
  CHUNK_BYTES,
  deleteChunk,
  getChunk,
  hasChunk,
  listChunks,
  type PutChunkResult,
  putChunk,
  type StoredChunk,
} from "./chunk-store.ts";
export { consumeDecisions, type DecisionConsumer, publishDecision } from "./decision-messages.ts";
export { EmbeddedNats, type EmbeddedNatsOptions } from "./embedded-nats.ts";
export { publishEvent, type ReadEventsOptions, readEvents } from "./events.ts";
export {
  type EncodedTree,
  encodeTree,
  hexOf,
  type ReadChunk,
  readTree,
  type StoredTree,
  sha256Of,
} from "./file-tree.ts";
export {
  type ReadFlagChangesOptions,
  readFlagChanges,
  recordFlagChange,
  type StoredFlagChange,
} from "./flag-changes.ts";
export { getHookBody, type HookBodyName, purgeHookBodies, putHookBody } from "./hook-bodies.ts";
export { LeaderLease, type LeaderLeaseOptions } from "./leader-lease.ts";
export { findLogTail, type LogTail, type LogTailOptions } from "./log-tail.ts";
export {
  type LogReading,
  type LogSelection,
  publishLog,
  type ReadLogsOptions,
  readLogEntries,
  readLogs,
} from "./logs.ts";
export { findNatsServer, type NatsBinary } from "./nats-binary.ts";
export type { NatsConfigOptions } from "./nats-config.ts";
export { writeNatsFiles } from "./nats-files.ts";
export {
  publishHeartbeat,
  publishWindow,
  renewLease,
  type StoredLease,
  subscribeHeartbeats,
  subscribeWindows,
  watchLeases,
} from "./node-messages.ts";
export { NODE_API_PREFIX, nodeInboxPrefix } from "./node-permissions.ts";
export { type PulledOffer, type PullOffersOptions, pullOffers } from "./offers.ts";
export { plainLogChunk } from "./plain-chunk.ts";
export { addNode, type ProvisionOptions, provisionStore, removeNode } from "./provision.ts";
export { describeSealKey, isSealKeyOf, openSecrets, type SecretValueMap, sealSecrets } from "./sealed-secrets.ts";
export { createSigner, type Signer, type VerifyOptions, verifySigned, verifySignedBytes } from "./signing.ts";
export { MAX_DOCUMENT_BYTES, openStore, Store, type StoredDocument, type StoreOptions } from "./store.ts";
export {
  ALL_NODES,
  BUCKETS,
  type BucketName,
  DOCUMENT_BUCKETS,
  type DocumentBucket,
  type NodeSubject,
  nodeOfSubject,
  parseNodeSubject,
  STREAMS,
  subjects,
} from "./subjects.ts";
export { consumeTaskEvents, type TaskEventConsumer } from "./task-event-consumer.ts";
export {
  type ClaimOutcome,
  claimTask,
  lastTaskEvent,
  offerTask,
  publishTaskEvent,
  type WithdrawOutcome,
  withdrawTask,
} from "./task-messages.ts";
export { startTestBus, type TestBus, type TestBusOptions, type TestNode } from "./testing/test-bus.ts";
export { type DocumentChange, type DocumentWatch, type WatchDocumentOptions, watchDocument } from "./watch-document.ts";
