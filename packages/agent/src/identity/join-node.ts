import { assertName } from "@kedge/domain";
import { NodeService } from "@kedge/proto";
import { createUser, fromSeed } from "@nats-io/nkeys";
import { parseJoinToken } from "./join-token.ts";
import { ensureSeed, loadIdentity, type NodeIdentity, saveIdentity } from "./node-identity.ts";

/** What joining needs. */
export interface JoinOptions {
  /** Text that `kedge token create --node` printed. */
  readonly token: string;
  /** Name the node wants. */
  readonly nodeId: string;
  /** Folder that will hold identity, tasks and models. */
  readonly dataDir: string;
  /** Labels besides those the token carries, which win. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly string[];
  /** Default: gives up after 30 s. */
  readonly signal?: AbortSignal;
}

const TIMEOUT_MS = 30_000;

/**
 * Makes this machine a node: checks the controller's CA against the token, makes a key that stays here, and trades the
 * token for credentials. Joining again under the same name keeps the key; a failed join may simply be repeated.
 *
 * @throws KedgeError JOIN_TOKEN_INVALID, NODE_EXISTS, UNAUTHENTICATED for a controller with another CA,
 *   CONTROLLER_UNAVAILABLE, INVALID_FIELD.
 */
export async function joinNode(options: JoinOptions): Promise<NodeIdentity> {
  const { nodeId, dataDir, labels = {}, taints = [], signal = AbortSignal.timeout(TIMEOUT_MS) } = options;
  assertName("node", nodeId, "nodeId");
  const token = parseJoinToken(options.token);
  // Loaded on demand: an agent at rest needs no gRPC.
  const { createRpcClient, fetchCaCertificate } = await import("@kedge/rpc");
  const caPem = await fetchCaCertificate({ address: token.address, fingerprint: token.caFingerprint, signal });
  const key = fromSeed(await ensureSeed(dataDir, () => createUser().getSeed()));
  const publicKey = key.getPublicKey();
  const proof = key.sign(Buffer.from(`kedge-enroll:${token.id}:${nodeId}`));
  const client = createRpcClient(NodeService, { address: token.address, caPem });
  try {
    const names = { tokenId: token.id, tokenSecret: token.secret, nodeId, publicKey };
    const reply = await client.enroll({ ...names, proof, labels: { ...labels }, taints: [...taints] }, { signal });
    const identity: NodeIdentity = {
      nodeId: reply.nodeId,
      publicKey,
      natsJwt: reply.natsJwt,
      natsServers: reply.natsServers,
      caPem: reply.caPem,
      controllerKey: reply.controllerKey,
      labels: reply.labels,
    };
    assertName("node", identity.nodeId, "node_id");
    await saveIdentity(dataDir, identity);
    return (await loadIdentity(dataDir)) ?? identity;
  } finally {
    client.close();
    key.clear();
  }
}
