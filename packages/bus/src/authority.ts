import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { assertName, KedgeError } from "@kedge/domain";
import { type Clock, systemClock } from "@kedge/kernel";
import { type Account, decode, encodeAccount, encodeOperator, encodeUser } from "@nats-io/jwt";
import { createAccount, createUser, fromPublic } from "@nats-io/nkeys";
import { type AuthorityKeys, loadKeys, type NodeRecord, NodeRegister } from "./authority-state.ts";
import type { Bus } from "./bus.ts";
import {
  certificateFingerprint,
  isCertificateCurrent,
  issueCa,
  issueServerCertificate,
  type KeyedCertificate,
} from "./certificates.ts";
import { type NatsConfigOptions, renderNatsConfig } from "./nats-config.ts";
import { busError } from "./nats-error.ts";
import { controllerExports, nodeAccount, nodeUser } from "./node-permissions.ts";
import { readTextFile, writePrivateFile } from "./private-file.ts";
import { createSigner, type Signer } from "./signing.ts";
import { whileConnected } from "./while-connected.ts";

/** How an authority is opened. */
export interface AuthorityOptions {
  /** Names and addresses servers are reached under; localhost and 127.0.0.1 are always added. */
  readonly hosts: readonly string[];
  /** Default: the machine's clock. */
  readonly clock?: Clock;
}

/** A NATS user: what `connectBus` needs to log in. */
export interface BusCredentials {
  readonly jwt: string;
  readonly seed: Uint8Array;
}

const UNLIMITED = { conn: -1, leaf: -1, subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true };
const JETSTREAM = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
const CLAIMS_TIMEOUT_MS = 3_000;
const CLAIMS_ATTEMPTS = 3;

/**
 * Opens the root of trust of an installation in a folder of its own, making what is missing: a certificate authority
 * with a server certificate, the NATS operator and its accounts, and the key that signs documents. Files are readable
 * by their owner only and replaced as a whole, so a crash at any point leaves a folder that opens.
 */
export async function openAuthority(dir: string, options: AuthorityOptions): Promise<Authority> {
  const clock = options.clock ?? systemClock;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const keys = await loadKeys(dir);
  const nodes = await NodeRegister.open(dir);
  const hosts = [...new Set([...options.hosts, "localhost", "127.0.0.1"])];
  const ca = await keptCertificate(join(dir, "ca.pem"), { accept: () => true, issue: () => issueCa(clock.now()) });
  const server = await keptCertificate(join(dir, "server.pem"), {
    accept: (certPem) => isCertificateCurrent(certPem, ca.certPem, hosts, clock.now()),
    issue: () => issueServerCertificate(ca, hosts, clock.now()),
  });
  const controllerJwt = await encodeAccount("CTL", keys.controller, controllerAccount(keys), { signer: keys.operator });
  return new Authority({ keys, nodes, ca, server, clock, controllerJwt });
}

interface Keeping {
  readonly accept: (certPem: string) => boolean;
  readonly issue: () => KeyedCertificate;
}

/** Certificate and key share one file, so that they can never be from different issues. */
async function keptCertificate(path: string, { accept, issue }: Keeping): Promise<KeyedCertificate> {
  const stored = splitPem(await readTextFile(path));
  if (stored !== undefined && accept(stored.certPem)) return stored;
  const issued = issue();
  await writePrivateFile(path, `${issued.certPem.trimEnd()}\n${issued.keyPem.trimEnd()}\n`);
  return issued;
}

function splitPem(content: string | undefined): KeyedCertificate | undefined {
  const blocks = content?.match(/-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----\n/g) ?? [];
  const [certPem, keyPem] = blocks;
  return certPem === undefined || keyPem === undefined ? undefined : { certPem, keyPem };
}

function controllerAccount(keys: AuthorityKeys): Partial<Account> {
  return {
    limits: { ...UNLIMITED, ...JETSTREAM },
    signing_keys: [keys.controllerSigning.getPublicKey()],
    exports: controllerExports(),
  };
}

interface AuthorityParts {
  readonly keys: AuthorityKeys;
  readonly nodes: NodeRegister;
  readonly ca: KeyedCertificate;
  readonly server: KeyedCertificate;
  readonly clock: Clock;
  readonly controllerJwt: string;
}

/** The root of trust: certificates, accounts, node credentials and the document signer. */
export class Authority {
  readonly #parts: AuthorityParts;
  /** PEM of the CA certificate; agents and clients trust it alone. */
  readonly caPem: string;
  /** SHA-256 of the CA certificate's DER form, hex. */
  readonly caFingerprint: string;
  /** For the NATS server and the gRPC and HTTP servers. */
  readonly serverCertificate: KeyedCertificate;
  /** Signs offers, assignments, routes and manifests. */
  readonly signer: Signer;

  constructor(parts: AuthorityParts) {
    this.#parts = parts;
    this.caPem = parts.ca.certPem;
    this.caFingerprint = certificateFingerprint(parts.ca.certPem);
    this.serverCertificate = parts.server;
    this.signer = createSigner(parts.keys.documentSeed);
  }

  /** A fresh user of the controller's account, which owns the streams. */
  async controllerCredentials(): Promise<BusCredentials> {
    const { controller, controllerSigning } = this.#parts.keys;
    const user = createUser();
    const jwt = await encodeUser("controller", user, controller, {}, { signer: controllerSigning });
    return { jwt, seed: user.getSeed() };
  }

  /** A fresh user of the system account, for the `admin` bus that the methods below take. */
  async adminCredentials(): Promise<BusCredentials> {
    const { system, systemSigning } = this.#parts.keys;
    const user = createUser();
    const jwt = await encodeUser("admin", user, system, {}, { signer: systemSigning });
    return { jwt, seed: user.getSeed() };
  }

  /**
   * Admits a node: gives it an account of its own on the server and returns the token of its user. May be called again
   * for the same node, with the same key or another; earlier tokens stay valid until revoked.
   *
   * @throws KedgeError INVALID_FIELD for a bad node id or key, BUS_UNAVAILABLE when the server does not take the account.
   */
  async mintNodeJwt(admin: Bus, nodeId: string, userPublicKey: string): Promise<string> {
    assertName("node", nodeId, "node_id");
    assertUserKey(userPublicKey);
    const record = await this.#parts.nodes.update(
      nodeId,
      (old) => old ?? { account: createAccount().getPublicKey(), revocations: {} },
    );
    await pushClaims(admin, await this.#nodeAccountJwt(nodeId, record));
    const signer = this.#parts.keys.nodeSigning;
    return await encodeUser(nodeId, userPublicKey, record.account, nodeUser(nodeId), { signer });
  }

  /**
   * Refuses every token issued so far to a node's key, for ever, and cuts its live connections. The revocation is kept
   * on disk before the server learns of it. Does nothing for a node that was never admitted.
   */
  async revokeNode(admin: Bus, nodeId: string, userPublicKey: string): Promise<void> {
    assertUserKey(userPublicKey);
    if (this.#parts.nodes.get(nodeId) === undefined) return;
    const until = Math.floor(this.#parts.clock.now() / 1000);
    const record = await this.#parts.nodes.update(nodeId, (old) => ({
      account: old?.account ?? createAccount().getPublicKey(),
      revocations: { ...old?.revocations, [userPublicKey]: until },
    }));
    await pushClaims(admin, await this.#nodeAccountJwt(nodeId, record));
  }

  /**
   * Gives the server every account that it does not know as it must be. Call after each connect of the admin bus at
   * start. Accounts that are right are left alone: an update, even to the same, interrupts what their nodes wait for.
   */
  async syncAccounts(admin: Bus): Promise<void> {
    await this.#sync(admin, this.#parts.keys.controller.getPublicKey(), this.#parts.controllerJwt);
    for (const [nodeId, record] of this.#parts.nodes.entries()) {
      await this.#sync(admin, record.account, await this.#nodeAccountJwt(nodeId, record));
    }
  }

  async #sync(admin: Bus, account: string, jwt: string): Promise<void> {
    const known = await lookUpClaims(admin, account);
    if (known === undefined || !sameClaims(known, jwt)) await pushClaims(admin, jwt);
  }

  /** The text of a nats-server configuration that trusts this authority. Tokens in it are made anew each time. */
  async natsConfig(options: NatsConfigOptions): Promise<string> {
    const { keys, controllerJwt } = this.#parts;
    const system = keys.system.getPublicKey();
    const systemJwt = await encodeAccount(
      "SYS",
      keys.system,
      { limits: UNLIMITED, signing_keys: [keys.systemSigning.getPublicKey()] },
      { signer: keys.operator },
    );
    return renderNatsConfig(options, {
      operatorJwt: await encodeOperator("kedge", keys.operator, { system_account: system }),
      systemAccount: system,
      accounts: { [system]: systemJwt, [keys.controller.getPublicKey()]: controllerJwt },
    });
  }

  async #nodeAccountJwt(nodeId: string, record: NodeRecord): Promise<string> {
    const { controller, nodeSigning, operator } = this.#parts.keys;
    const account = nodeAccount(nodeId, controller.getPublicKey(), nodeSigning.getPublicKey());
    const claims = { ...account, revocations: { ...record.revocations } };
    return await encodeAccount(`node-${nodeId}`, record.account, claims, { signer: operator });
  }
}

function assertUserKey(key: string): void {
  try {
    if (key.startsWith("U") && fromPublic(key).getPublicKey() === key) return;
  } catch (cause) {
    throw new KedgeError("INVALID_FIELD", "public_key: not an nkey", { field: "public_key", cause });
  }
  throw new KedgeError("INVALID_FIELD", "public_key: not a user's nkey", { field: "public_key" });
}

/** The account token that the server has; undefined when it has none or cannot say. */
async function lookUpClaims(admin: Bus, account: string): Promise<string | undefined> {
  try {
    const subject = `$SYS.REQ.ACCOUNT.${account}.CLAIMS.LOOKUP`;
    const answer = await admin.connection.request(subject, "", { timeout: CLAIMS_TIMEOUT_MS });
    return answer.string() === "" ? undefined : answer.string();
  } catch {
    // Not known is no failure: the account is pushed, and that says what is wrong.
    return undefined;
  }
}

/** Tells whether two tokens say the same, whenever and by whomever they were made. */
function sameClaims(a: string, b: string): boolean {
  const claims = (jwt: string): string => {
    const { name, sub, nats } = decode<Account>(jwt);
    return JSON.stringify({ name, sub, nats });
  };
  return claims(a) === claims(b);
}

/** Replacing an account by the same account changes nothing, so a lost answer is simply asked for again. */
async function pushClaims(admin: Bus, jwt: string): Promise<void> {
  const doing = "updating an account on the NATS server";
  const options = { timeout: CLAIMS_TIMEOUT_MS };
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await whileConnected(admin, () =>
        admin.connection.request("$SYS.REQ.CLAIMS.UPDATE", jwt, options),
      );
      const { error } = answer.json<{ error?: { description?: string } }>();
      if (error === undefined) return;
      throw new KedgeError("INTERNAL", `${doing}: ${error.description ?? "refused"}`);
    } catch (error) {
      const failure = busError(error, doing);
      if (!failure.retryable || attempt >= CLAIMS_ATTEMPTS) throw failure;
    }
  }
}
