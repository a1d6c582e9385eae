import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createAccount, createOperator, createUser, fromSeed, type KeyPair } from "@nats-io/nkeys";
import { readTextFile, writePrivateFile } from "./private-file.ts";

/** The secret keys of an installation. */
export interface AuthorityKeys {
  readonly operator: KeyPair;
  readonly system: KeyPair;
  readonly systemSigning: KeyPair;
  readonly controller: KeyPair;
  readonly controllerSigning: KeyPair;
  /** Signs the users of every node account. */
  readonly nodeSigning: KeyPair;
  /** Seed of the key that signs documents. */
  readonly documentSeed: Uint8Array;
}

/** What is remembered of a node. */
export interface NodeRecord {
  /** Public key of the node's account. Its private half is never kept: the operator signs the account. */
  readonly account: string;
  /** Public user key → time in seconds; tokens issued until then are refused. */
  readonly revocations: Readonly<Record<string, number>>;
}

const KEY_FILES = {
  operator: createOperator,
  system: createAccount,
  systemSigning: createAccount,
  controller: createAccount,
  controllerSigning: createAccount,
  nodeSigning: createAccount,
  document: createUser,
} as const;

/** Reads the keys from `<dir>/keys`, making those that are not there yet. */
export async function loadKeys(dir: string): Promise<AuthorityKeys> {
  const folder = join(dir, "keys");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const load = (name: keyof typeof KEY_FILES) => loadKey(join(folder, `${name}.nk`), KEY_FILES[name]);
  return {
    operator: await load("operator"),
    system: await load("system"),
    systemSigning: await load("systemSigning"),
    controller: await load("controller"),
    controllerSigning: await load("controllerSigning"),
    nodeSigning: await load("nodeSigning"),
    documentSeed: (await load("document")).getSeed(),
  };
}

async function loadKey(path: string, make: () => KeyPair): Promise<KeyPair> {
  const text = await readTextFile(path);
  if (text !== undefined) return fromSeed(new TextEncoder().encode(text.trim()));
  const pair = make();
  await writePrivateFile(path, new TextDecoder().decode(pair.getSeed()));
  return pair;
}

/** The nodes an authority knows, in `<dir>/nodes.json`. Changes are serialised and on disk when they resolve. */
export class NodeRegister {
  readonly #path: string;
  #nodes: ReadonlyMap<string, NodeRecord>;
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(path: string, nodes: ReadonlyMap<string, NodeRecord>) {
    this.#path = path;
    this.#nodes = nodes;
  }

  static async open(dir: string): Promise<NodeRegister> {
    const path = join(dir, "nodes.json");
    const text = await readTextFile(path);
    const stored: Record<string, NodeRecord> = text === undefined ? {} : JSON.parse(text);
    return new NodeRegister(path, new Map(Object.entries(stored)));
  }

  get(nodeId: string): NodeRecord | undefined {
    return this.#nodes.get(nodeId);
  }

  entries(): Iterable<[string, NodeRecord]> {
    return this.#nodes.entries();
  }

  /** Replaces a record by a function of the old one, which may be missing. */
  update(nodeId: string, change: (old: NodeRecord | undefined) => NodeRecord): Promise<NodeRecord> {
    const done = this.#tail.then(async () => {
      const record = change(this.#nodes.get(nodeId));
      const nodes = new Map(this.#nodes).set(nodeId, record);
      await writePrivateFile(this.#path, JSON.stringify(Object.fromEntries(nodes), null, 1));
      this.#nodes = nodes;
      return record;
    });
    this.#tail = done.catch(() => {});
    return done;
  }
}
