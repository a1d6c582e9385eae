import { KedgeError } from "@kedge/domain";

const TOKEN = /^[A-Za-z0-9_-]{1,200}$/;
const KEY = /^[A-Za-z0-9_-]{1,200}(?:\.[A-Za-z0-9_-]{1,200}){0,3}$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** Names of the streams. */
export const STREAMS = {
  offers: "KEDGE_OFFERS",
  tasks: "KEDGE_TASKS",
  leases: "KEDGE_LEASES",
  logs: "KEDGE_LOGS",
  events: "KEDGE_EVENTS",
  chunks: "KEDGE_CHUNKS",
  decisions: "KEDGE_DECISIONS",
  flagChanges: "KEDGE_FLAG_CHANGES",
  hooks: "KEDGE_HOOKS",
} as const;

/** Names of the KV buckets. */
export const BUCKETS = [
  "nodes",
  "runs",
  "pipelines",
  "deployments",
  "models",
  "versions",
  "assignments",
  "routes",
  "tokens",
  "leases",
  "policies",
  "incidents",
  "alerts",
  "flagrecords",
  "flags",
  "secrets",
  "runsecrets",
  "repositories",
  "deliveries",
  "commitstatuses",
  "artifacts",
  "caches",
  "components",
] as const;

/** A KV bucket of the store. */
export type BucketName = (typeof BUCKETS)[number];

/** The buckets whose documents agents read. */
export const DOCUMENT_BUCKETS = ["assignments", "routes", "flags"] as const satisfies readonly BucketName[];

/** A bucket whose documents are republished to agents on `kedge.doc.<bucket>.<key>`. */
export type DocumentBucket = (typeof DOCUMENT_BUCKETS)[number];

/**
 * Returns the value when it is one plain subject token.
 *
 * @throws KedgeError INVALID_FIELD for dots, wildcards, spaces, control characters, the empty and the overlong string.
 */
export function subjectToken(value: string, field: string): string {
  if (TOKEN.test(value)) return value;
  throw invalid(value, field, "letters, digits, '-' and '_' only, 1 to 200 of them");
}

/** Returns the value when it is a document key: one to four subject tokens joined by dots. */
export function documentKey(value: string): string {
  if (KEY.test(value)) return value;
  throw invalid(value, "key", "one to four tokens of letters, digits, '-' and '_', joined by dots");
}

function invalid(value: string, field: string, expected: string): KedgeError {
  const shown = JSON.stringify(value.slice(0, 80));
  return new KedgeError("INVALID_FIELD", `${field}: ${shown} cannot be part of a subject (${expected})`, { field });
}

const node = (id: string): string => `kedge.node.${subjectToken(id, "node")}`;

/** Builders of every subject Kedge uses. Each refuses tokens that would change the subject's shape. */
export const subjects = {
  heartbeat: (nodeId: string) => `${node(nodeId)}.heartbeat`,
  lease: (nodeId: string) => `${node(nodeId)}.lease`,
  taskEvents: (nodeId: string, taskId: string) => `${node(nodeId)}.task.${subjectToken(taskId, "task")}`,
  logs: (nodeId: string, runId: string, job: string) =>
    `${node(nodeId)}.log.${subjectToken(runId, "run")}.${subjectToken(job, "job")}`,
  decisions: (nodeId: string) => `${node(nodeId)}.decision`,
  metrics: (nodeId: string, deployment: string) => `${node(nodeId)}.metric.${subjectToken(deployment, "deployment")}`,
  offers: (nodeId: string) => `kedge.to.${subjectToken(nodeId, "node")}.task`,
  document: (bucket: DocumentBucket, key: string) => `kedge.doc.${bucket}.${subjectToken(key, "key")}`,
  chunk: (sha256: string) => {
    if (!SHA256.test(sha256)) throw invalid(sha256, "sha256", "64 lower-case hex digits");
    return `kedge.chunk.${sha256}`;
  },
  event: (kind: string, name: string) => `kedge.event.${subjectToken(kind, "kind")}.${subjectToken(name, "name")}`,
  flagChange: (flag: string, id: string) => `kedge.flag.${subjectToken(flag, "flag")}.${subjectToken(id, "id")}`,
  /** A part of the body of a webhook delivery. */
  hookBody: (repository: string, id: string, part: number) =>
    `kedge.hook.${subjectToken(repository, "repository")}.${subjectToken(id, "id")}.${part}`,
  /** All of a repository. */
  hookBodies: (repository: string) => `kedge.hook.${subjectToken(repository, "repository")}.>`,
  /** Where a bucket's document is stored. */
  kv: (bucket: BucketName, key: string) => `$KV.${bucket}.${documentKey(key)}`,
} as const;

/** What the leader says every second to all nodes: that it is there. */
export const BEAT_SUBJECT = "kedge.beat";

/** Filters over all nodes. */
export const ALL_NODES = {
  heartbeats: "kedge.node.*.heartbeat",
  leases: "kedge.node.*.lease",
  taskEvents: "kedge.node.*.task.*",
  logs: "kedge.node.*.log.*.*",
  metrics: "kedge.node.*.metric.*",
  decisions: "kedge.node.*.decision",
  offers: "kedge.to.*.task",
} as const;

/** Name of the stream behind a KV bucket. */
export function bucketStream(bucket: BucketName): string {
  return `KV_${bucket}`;
}

/** Name of a node's durable consumer on the offers stream. */
export function offersConsumer(nodeId: string): string {
  return `node-${subjectToken(nodeId, "node")}`;
}

/** A message's sender and what it is about, read from the one part of it that the server vouches for. */
export interface NodeSubject {
  readonly nodeId: string;
  readonly kind: "heartbeat" | "lease" | "task" | "log" | "metric" | "decision";
  /** Task id; run and job; deployment. */
  readonly rest: readonly string[];
}

const NODE_KINDS: Readonly<Record<NodeSubject["kind"], number>> = {
  heartbeat: 0,
  lease: 0,
  task: 1,
  log: 2,
  metric: 1,
  decision: 0,
};

/** Takes `kedge.node.<id>.<kind>...` apart; undefined for any other shape. */
export function parseNodeSubject(subject: string): NodeSubject | undefined {
  const [root, branch, nodeId, kind, ...rest] = subject.split(".");
  if (root !== "kedge" || branch !== "node" || nodeId === undefined || kind === undefined) return undefined;
  if (!isNodeKind(kind) || rest.length !== NODE_KINDS[kind]) return undefined;
  return [nodeId, ...rest].every((part) => TOKEN.test(part)) ? { nodeId, kind, rest } : undefined;
}

function isNodeKind(kind: string): kind is NodeSubject["kind"] {
  return Object.hasOwn(NODE_KINDS, kind);
}

/** The node id in a `kedge.node.<id>.*` or `kedge.to.<id>.*` subject; undefined for any other. */
export function nodeOfSubject(subject: string): string | undefined {
  const [root, branch, nodeId] = subject.split(".");
  if (root !== "kedge" || (branch !== "node" && branch !== "to")) return undefined;
  return nodeId !== undefined && TOKEN.test(nodeId) ? nodeId : undefined;
}
