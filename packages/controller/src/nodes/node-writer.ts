import { clone, create, equals } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Authority, addNode, type Bus, removeNode } from "@kedge/bus";
import { assertName, isKedgeError, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type EnrollRequest, type Node, NodeSchema } from "@kedge/proto";
import { fromPublic } from "@nats-io/nkeys";
import type { TokenRegistry } from "../auth/tokens.ts";
import type { EventRecorder } from "../events/recorder.ts";
import { lookUp } from "../services/lookup.ts";
import type { Stores } from "../stores.ts";
import { type NodeRegistry, refreshNode } from "./registry.ts";

/** What nodes are written with. */
export interface NodeWriterOptions {
  readonly bus: Bus;
  /** Connection to the system account. */
  readonly admin: Bus;
  readonly stores: Stores;
  readonly authority: Authority;
  readonly tokens: TokenRegistry;
  readonly registry: NodeRegistry;
  readonly events: EventRecorder;
  readonly clock: Clock;
}

const NOT_FOUND = { reason: "NODE_NOT_FOUND", noun: "node", field: "node_id" } as const;
const MAX_LABELS = 64;
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
const MAX_RACES = 20;

/** Enrols, changes and removes nodes. */
export class NodeWriter {
  readonly #options: NodeWriterOptions;

  constructor(options: NodeWriterOptions) {
    this.#options = options;
  }

  find(nodeId: string): Node {
    return lookUp(this.#options.stores.nodes, nodeId, NOT_FOUND).value;
  }

  /**
   * Admits a node. The same node with the same key may enrol again, for example after a lost answer.
   *
   * @throws KedgeError JOIN_TOKEN_INVALID, INVALID_FIELD, NODE_EXISTS.
   */
  async enroll(request: EnrollRequest): Promise<{ node: Node; jwt: string }> {
    const { stores, authority, admin, bus, events, clock, tokens } = this.#options;
    assertName("node", request.nodeId, "node_id");
    assertLabels(request.labels);
    assertTaints(request.taints);
    assertProof(request);
    const existing = stores.nodes.get(request.nodeId);
    if (existing !== undefined && existing.value.publicKey !== request.publicKey) {
      throw new KedgeError("NODE_EXISTS", `a node called ${request.nodeId} is enrolled with another key`, {
        field: "node_id",
        hint: `choose another --name, or remove it first: kedge node remove ${request.nodeId}`,
      });
    }
    const token = await tokens.spendJoinToken(request.tokenId, request.tokenSecret, { again: existing !== undefined });
    const node = create(NodeSchema, {
      id: request.nodeId,
      labels: { ...request.labels, ...token.nodeLabels },
      taints: request.taints,
      publicKey: request.publicKey,
      enrolledAt: timestampFromMs(clock.now()),
    });
    await addNode(bus, node.id);
    const jwt = await authority.mintNodeJwt(admin, node.id, node.publicKey);
    if (existing === undefined) await stores.nodes.create(node.id, node);
    else {
      await this.edit(node.id, (stored) => {
        stored.labels = node.labels;
        stored.taints = node.taints;
      });
    }
    events.record({ kind: "node", name: node.id, reason: "Enrolled", message: labelText(node.labels) });
    return { node, jwt };
  }

  /** Changes a node's document with compare-and-set. @throws KedgeError NODE_NOT_FOUND. */
  async edit(nodeId: string, change: (node: Node) => void): Promise<Node> {
    const { stores } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const { value, revision } = lookUp(stores.nodes, nodeId, NOT_FOUND);
      const next = clone(NodeSchema, value);
      change(next);
      if (equals(NodeSchema, next, value)) return value;
      try {
        return (await stores.nodes.update(nodeId, next, revision)).value;
      } catch (error) {
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
      }
    }
  }

  /** Stores what a node reports of itself when it differs from what is stored; clears up after one that is gone. */
  async refresh(nodeId: string): Promise<void> {
    const { stores, registry } = this.#options;
    const stored = stores.nodes.get(nodeId);
    // A node that is gone, or that comes back under its name, starts with nothing assigned.
    if (stored === undefined) await stores.assignments.delete(nodeId);
    const heartbeat = registry.latest(nodeId);
    if (stored === undefined || heartbeat === undefined) return;
    const next = refreshNode(stored.value, heartbeat);
    if (next !== undefined) await stores.nodes.update(nodeId, next, stored.revision);
  }

  /** Revokes a node's credentials and forgets it; its tasks are lost, its replicas move. @throws KedgeError NODE_NOT_FOUND. */
  async remove(nodeId: string): Promise<void> {
    const { stores, authority, admin, bus, registry, events } = this.#options;
    const { value } = lookUp(stores.nodes, nodeId, NOT_FOUND);
    await authority.revokeNode(admin, nodeId, value.publicKey);
    await removeNode(bus, nodeId);
    // Whatever anybody writes about the node meanwhile, it goes; its assignment goes with the next look at it.
    await stores.nodes.delete(nodeId);
    registry.forget(nodeId);
    events.record({
      kind: "node",
      name: nodeId,
      reason: "Removed",
      message: "its credentials are revoked",
      warning: true,
    });
  }
}

/** The node must hold the private half of the key it brings; otherwise a stolen public key could squat a name. */
function assertProof(request: EnrollRequest): void {
  const text = Buffer.from(`kedge-enroll:${request.tokenId}:${request.nodeId}`);
  if (!/^U[A-Z2-7]{55}$/.test(request.publicKey)) {
    throw new KedgeError("INVALID_FIELD", "public_key is no user nkey", { field: "public_key" });
  }
  if (isSignedBy(request.publicKey, text, request.proof)) return;
  throw new KedgeError("INVALID_FIELD", "proof is no signature by public_key", { field: "proof" });
}

function isSignedBy(publicKey: string, text: Uint8Array, signature: Uint8Array): boolean {
  try {
    return fromPublic(publicKey).verify(text, signature);
  } catch {
    // A key with a wrong checksum or a signature of a wrong length: not signed.
    return false;
  }
}

function assertLabels(labels: Readonly<Record<string, string>>): void {
  if (Object.keys(labels).length > MAX_LABELS) {
    throw new KedgeError("INVALID_FIELD", `a node has at most ${MAX_LABELS} labels`, { field: "labels" });
  }
  for (const [key, value] of Object.entries(labels)) {
    if (LABEL.test(key) && (value === "" || LABEL.test(value))) continue;
    throw new KedgeError("INVALID_FIELD", `label ${JSON.stringify(`${key}=${value}`.slice(0, 140))} is not valid`, {
      field: "labels",
      hint: "letters, digits, '.', '_', '/' and '-', at most 63 characters, beginning and ending with a letter or digit",
    });
  }
}

function assertTaints(taints: readonly string[]): void {
  const bad = taints.find((taint) => !LABEL.test(taint));
  if (bad === undefined && taints.length <= MAX_LABELS) return;
  throw new KedgeError("INVALID_FIELD", `at most ${MAX_LABELS} taints, each a label's key`, {
    field: "taints",
    ...(bad === undefined ? {} : { hint: `${JSON.stringify(bad.slice(0, 80))} is none` }),
  });
}

function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}
