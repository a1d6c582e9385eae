export { Authority, type AuthorityOptions, type BusCredentials, openAuthority } from "./authority.ts";
export { type Bus, type BusOptions, type BusStatus, connectBus, serverAtLeast } from "./bus.ts";
export type { KeyedCertificate } from "./certificates.ts";
export { EmbeddedNats, type EmbeddedNatsOptions } from "./embedded-nats.ts";
export { findNatsServer, type NatsBinary } from "./nats-binary.ts";
export type { NatsConfigOptions } from "./nats-config.ts";
export { NODE_API_PREFIX, nodeInboxPrefix } from "./node-permissions.ts";
export { addNode, type ProvisionOptions, provisionStore, removeNode } from "./provision.ts";
export { createSigner, type Signer, type VerifyOptions, verifySigned, verifySignedBytes } from "./signing.ts";
export {
  ALL_NODES,
  BUCKETS,
  type BucketName,
  type DocumentBucket,
  type NodeSubject,
  nodeOfSubject,
  parseNodeSubject,
  STREAMS,
  subjects,
} from "./subjects.ts";
