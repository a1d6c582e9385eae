import type { Account, Export, Import, User } from "@nats-io/jwt";
import { BEAT_SUBJECT, bucketStream, offersConsumer, STREAMS, subjects, subjectToken } from "./subjects.ts";

/** JetStream API prefix inside a node's account; the server keeps `$JS.API` itself for the account's own JetStream. */
export const NODE_API_PREFIX = "KJS.API";

/** Inbox prefix of a node. */
export function nodeInboxPrefix(nodeId: string): string {
  return `_INBOX.${subjectToken(nodeId, "node")}`;
}

const DIRECT_GET = "DIRECT.GET";

/** API requests a node may make of the controller's JetStream, without the prefix. `*` stands for the node id. */
const API_EXPORTS = [
  { subject: `CONSUMER.INFO.${STREAMS.offers}.*`, responses: "Singleton" },
  { subject: `CONSUMER.MSG.NEXT.${STREAMS.offers}.*`, responses: "Stream" },
  { subject: `${DIRECT_GET}.${bucketStream("assignments")}.$KV.assignments.*`, responses: "Singleton" },
  { subject: `${DIRECT_GET}.${bucketStream("routes")}.$KV.routes.*`, responses: "Singleton" },
  { subject: `${DIRECT_GET}.${bucketStream("flags")}.$KV.flags.*`, responses: "Singleton" },
  { subject: `${DIRECT_GET}.${STREAMS.chunks}.kedge.chunk.*`, responses: "Singleton" },
  { subject: `${DIRECT_GET}.${STREAMS.tasks}.kedge.node.*.task.*`, responses: "Singleton" },
] as const;

const PUBLISH_EXPORTS = [
  "kedge.node.*.heartbeat",
  "kedge.node.*.lease",
  "kedge.node.*.task.*",
  "kedge.node.*.log.*.*",
  "kedge.node.*.metric.*",
  "kedge.node.*.decision",
] as const;

const DOCUMENT_EXPORTS = ["kedge.doc.assignments.*", "kedge.doc.routes.*", "kedge.doc.flags.*", BEAT_SUBJECT] as const;

/** What the controller's account offers to node accounts. Only accounts signed by our operator can import it. */
export function controllerExports(): Export[] {
  return [
    ...PUBLISH_EXPORTS.map((subject) => service(subject, "Singleton")),
    ...API_EXPORTS.map(({ subject, responses }) => service(`$JS.API.${subject}`, responses)),
    service(`$JS.ACK.${STREAMS.offers}.>`, "Singleton"),
    ...DOCUMENT_EXPORTS.map((subject): Export => ({ name: subject, subject, type: "stream" })),
  ];
}

function service(subject: string, responses: "Singleton" | "Stream"): Export {
  return { name: subject, subject, type: "service", response_type: responses };
}

/** API requests of one node, without the prefix. */
function nodeApi(nodeId: string): string[] {
  const consumer = offersConsumer(nodeId);
  return [
    `CONSUMER.INFO.${STREAMS.offers}.${consumer}`,
    `CONSUMER.MSG.NEXT.${STREAMS.offers}.${consumer}`,
    `${DIRECT_GET}.${bucketStream("assignments")}.$KV.assignments.${nodeId}`,
    `${DIRECT_GET}.${bucketStream("routes")}.$KV.routes.*`,
    `${DIRECT_GET}.${bucketStream("flags")}.$KV.flags.*`,
    `${DIRECT_GET}.${STREAMS.chunks}.kedge.chunk.*`,
    `${DIRECT_GET}.${STREAMS.tasks}.kedge.node.${nodeId}.task.*`,
  ];
}

function nodePublishes(nodeId: string): string[] {
  const id = subjectToken(nodeId, "node");
  return [
    subjects.heartbeat(id),
    subjects.lease(id),
    `kedge.node.${id}.task.*`,
    `kedge.node.${id}.log.*.*`,
    `kedge.node.${id}.metric.*`,
    subjects.decisions(id),
    `$JS.ACK.${STREAMS.offers}.${offersConsumer(id)}.>`,
  ];
}

function nodeDocuments(nodeId: string): string[] {
  return [subjects.document("assignments", nodeId), "kedge.doc.routes.*", "kedge.doc.flags.*", BEAT_SUBJECT];
}

/**
 * The account of one node. It imports this node's subjects and no others, and no other node is in it: a reply subject
 * that the node makes up can only lead back to the node itself.
 */
export function nodeAccount(nodeId: string, controllerAccount: string, signingKey: string): Partial<Account> {
  const services = [
    ...nodePublishes(nodeId).map((subject) => importOf("service", subject, controllerAccount)),
    ...nodeApi(nodeId).map(
      (request): Import => ({
        ...importOf("service", `$JS.API.${request}`, controllerAccount),
        local_subject: `${NODE_API_PREFIX}.${request.replace("*", "$1")}`,
      }),
    ),
  ];
  const streams = nodeDocuments(nodeId).map((subject) => importOf("stream", subject, controllerAccount));
  return {
    limits: { ...NODE_LIMITS },
    signing_keys: [signingKey],
    imports: [...services, ...streams],
  };
}

function importOf(type: "service" | "stream", subject: string, account: string): Import {
  return { name: subject, subject, type, account };
}

/** A node needs one connection and a handful of subscriptions; more is a defect or an attack. */
const NODE_LIMITS = {
  conn: 8,
  leaf: 0,
  subs: 256,
  data: -1,
  payload: 1_048_576,
  imports: -1,
  exports: 0,
  wildcards: true,
} as const;

/** Permissions of a node's user, a second fence inside its account. */
export function nodeUser(nodeId: string): Partial<User> {
  return {
    pub: { allow: [...nodePublishes(nodeId), ...nodeApi(nodeId).map((request) => `${NODE_API_PREFIX}.${request}`)] },
    sub: { allow: [`${nodeInboxPrefix(nodeId)}.>`, ...nodeDocuments(nodeId)] },
  };
}
