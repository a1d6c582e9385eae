import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage, isName, KedgeError } from "@kedge/domain";
import { readFileIfPresent, writeFileAtomic } from "../state/atomic-file.ts";

/** Who this node is and whom it trusts; all of it may be shown but the JWT. The secret key is in a file of its own. */
export interface NodeIdentity {
  readonly nodeId: string;
  /** Public nkey of the node's NATS user. */
  readonly publicKey: string;
  readonly natsJwt: string;
  /** `host:port` each. */
  readonly natsServers: readonly string[];
  readonly caPem: string;
  /** Public nkey that signs what this node may act on. */
  readonly controllerKey: string;
  readonly labels: Readonly<Record<string, string>>;
}

const IDENTITY_FILE = "identity.json";
const SEED_FILE = "node.nk";

/** Stores an identity as a whole. */
export async function saveIdentity(dataDir: string, identity: NodeIdentity): Promise<void> {
  await writeFileAtomic(join(dataDir, IDENTITY_FILE), `${JSON.stringify(identity, undefined, 2)}\n`);
}

/** The identity in a data folder, or undefined when the node has not joined. */
export async function loadIdentity(dataDir: string): Promise<NodeIdentity | undefined> {
  const bytes = await readFileIfPresent(join(dataDir, IDENTITY_FILE));
  if (bytes === undefined) return undefined;
  try {
    const identity: NodeIdentity = JSON.parse(bytes.toString("utf8"));
    if (isName("node", identity.nodeId) && Array.isArray(identity.natsServers)) return identity;
  } catch (error) {
    throw damaged(dataDir, errorMessage(error));
  }
  throw damaged(dataDir, "fields are missing");
}

/**
 * The node's secret key. Made once, in a file that only its owner may read; it never leaves the machine.
 *
 * @param make makes a seed when there is none.
 */
export async function ensureSeed(dataDir: string, make: () => Uint8Array): Promise<Uint8Array> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, SEED_FILE);
  const stored = await readFileIfPresent(path);
  if (stored !== undefined) return trimmed(stored);
  await writeFileAtomic(path, make());
  return trimmed(await readFile(path));
}

/**
 * The secret key of a node that has joined.
 *
 * @throws KedgeError INVALID_OPTION when there is none.
 */
export async function loadSeed(dataDir: string): Promise<Uint8Array> {
  const stored = await readFileIfPresent(join(dataDir, SEED_FILE));
  if (stored === undefined) throw damaged(dataDir, `${SEED_FILE} is missing`);
  return trimmed(stored);
}

function trimmed(bytes: Buffer): Uint8Array {
  return Buffer.from(bytes.toString("ascii").trim(), "ascii");
}

function damaged(dataDir: string, why: string): KedgeError {
  return new KedgeError("INVALID_OPTION", `data folder ${dataDir} is damaged: ${why}`, {
    field: "dataDir",
    hint: "join the node again with a new token",
  });
}
