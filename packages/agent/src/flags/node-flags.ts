import type { Server } from "node:http";
import { join } from "node:path";
import { errorMessage } from "@kedge/domain";
import type { Logger } from "@kedge/kernel";
import type { Flags } from "@kedge/proto";
import { readFileIfPresent, writeFileAtomic } from "../state/atomic-file.ts";
import type { FlagAccess } from "./flag-access.ts";
import { createFlagServer } from "./flag-server.ts";
import { KnownFlags } from "./known-flags.ts";

/** What NodeFlags work with. */
export interface NodeFlagsOptions {
  readonly nodeId: string;
  readonly dataDir: string;
  /** Address of this machine for containers that have no network of their own; undefined without an engine. */
  readonly bridgeAddress: () => Promise<string | undefined>;
  readonly logger: Logger;
}

const LOOPBACK = "127.0.0.1";

/**
 * The node's feature flags for what runs on it: a file for model servers, and OpenFeature's protocol for everything else,
 * on loopback and, from the first container on, on Docker's bridge. The port stays the same from agent to agent, because replicas live longer.
 */
export class NodeFlags implements FlagAccess {
  readonly #options: NodeFlagsOptions;
  readonly #known: KnownFlags;
  readonly #servers: Server[] = [];
  #port = 0;
  #bridge: Promise<string | undefined> | undefined;

  constructor(options: NodeFlagsOptions) {
    this.#options = options;
    this.#known = new KnownFlags(join(options.dataDir, "documents", "flags"), options.logger);
  }

  /** The file that model servers follow; it may not be there yet. */
  get file(): string {
    return this.#known.path;
  }

  /** Where processes of this machine reach them. */
  get url(): string {
    return `http://${LOOPBACK}:${this.#port}`;
  }

  /**
   * Where containers on the default bridge reach them; undefined when there is no such bridge, or it is not on this
   * machine, as with an engine in a virtual one.
   */
  async containerUrl(): Promise<string | undefined> {
    this.#bridge ??= this.#openBridge();
    const url = await this.#bridge;
    // The engine may come later.
    if (url === undefined) this.#bridge = undefined;
    return url;
  }

  /** Takes up what is on disk and listens. */
  async start(): Promise<void> {
    const { dataDir, logger } = this.#options;
    await this.#known.load();
    const file = join(dataDir, "flags.port");
    const before = Number((await readFileIfPresent(file))?.toString() ?? 0);
    try {
      this.#port = await this.#listen(LOOPBACK, before);
    } catch (error) {
      logger.warn({ port: before, reason: errorMessage(error) }, "the port of the flags is taken, replicas lose them");
      this.#port = await this.#listen(LOOPBACK, 0);
    }
    if (this.#port !== before) await writeFileAtomic(file, String(this.#port));
  }

  /** Takes newer flags. */
  take(flags: Flags): void {
    this.#known.take(flags);
  }

  /** Ends the service; the file stays. May be called twice, and without `start`. */
  async stop(): Promise<void> {
    await this.#bridge;
    await Promise.all(this.#servers.splice(0).map(close));
    await this.#known.settled();
  }

  async #openBridge(): Promise<string | undefined> {
    const { bridgeAddress, logger } = this.#options;
    try {
      const address = await bridgeAddress();
      if (address === undefined) return undefined;
      await this.#listen(address, this.#port);
      return `http://${address}:${this.#port}`;
    } catch (error) {
      logger.warn({ reason: errorMessage(error) }, "containers do not reach the feature flags");
      return undefined;
    }
  }

  /** The port it listens on. */
  async #listen(host: string, port: number): Promise<number> {
    const server = createFlagServer({ flags: () => this.#known.set, attributes: { node: this.#options.nodeId } });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(port, host, resolve);
    await promise;
    this.#servers.push(server);
    const address = server.address();
    return address === null || typeof address === "string" ? port : address.port;
  }
}

function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  return promise;
}
