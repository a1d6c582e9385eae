import { mkdtempSync, rmSync } from "node:fs";
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "@kedge/kernel";
import { RouteSchema, type Window } from "@kedge/proto";
import { Gateway } from "../gateway.ts";
import type { GatewayEndpoint, GatewayOptions, GatewayService } from "../gateway-options.ts";

/** What one request through the gateway came to; status 0: no answer. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
}

/** A backend that answers with its name. */
export interface TestReplica extends GatewayEndpoint {
  readonly served: () => number;
  close(): Promise<void>;
}

/** What numbers add up to. */
export const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Four standard errors of a share seen in `count` requests. */
export const tolerance = (share: number, count: number): number => 4 * Math.sqrt((share * (1 - share)) / count);

/** Gateways, replicas and clients of one test, and the way to be rid of them all. */
export class TestBed {
  readonly dir = mkdtempSync(join(tmpdir(), "kedge-gw-"));
  readonly windows: Window[] = [];
  readonly #cleanups: (() => Promise<unknown>)[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  /** Requests that windows have told of a revision so far. */
  counted(revision: number): number {
    const own = this.windows.flatMap(({ revisions }) => revisions.filter((each) => each.revision === revision));
    return sum(own.map((each) => each.requests));
  }

  /** A gateway in the bed's folder, started. */
  async gateway(options: Partial<GatewayOptions> = {}): Promise<Gateway> {
    const gateway = new Gateway({
      dir: this.dir,
      listen: { host: "127.0.0.1", port: 0 },
      nodeId: "node-1",
      bootId: "boot-1",
      clock: systemClock,
      logger: silentLogger,
      onWindow: (window) => this.windows.push(window),
      capacity: { backends: 2, serversPerBackend: 4 },
      threads: 2,
      ...options,
    });
    this.onClose(() => gateway.stop());
    await gateway.start(new AbortController().signal);
    return gateway;
  }

  /** A replica in this process. */
  async replica(replicaId: string, revision: number, handler?: (req: IncomingMessage, res: ServerResponse) => void) {
    let served = 0;
    const server = createServer((req, res) => {
      served++;
      if (handler) handler(req, res);
      else res.end(`${replicaId} ${req.url}`);
    });
    server.keepAliveTimeout = 0;
    const port = await listen(server);
    const close = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    this.onClose(close);
    return { replicaId, revision, host: "127.0.0.1", port, served: () => served, close } satisfies TestReplica;
  }

  /** One request over a kept-alive connection, unless the headers ask to close. Never rejects. */
  get(gateway: Gateway, path: string, headers: Record<string, string> = {}, kept = this.#agent): Promise<Answer> {
    const [host, port] = gateway.address.split(":");
    const agent = headers["connection"] === "close" ? false : kept;
    return new Promise((resolve) => {
      const none = () => resolve({ status: 0, body: "", headers: {} });
      const req = request({ host, port, path, headers, agent }, (res) => {
        const chunks: Buffer[] = [];
        res.on("data", (chunk: Buffer) => chunks.push(chunk));
        res.on("error", none);
        res.on("end", () =>
          resolve({ status: res.statusCode ?? 0, body: Buffer.concat(chunks).toString(), headers: res.headers }),
        );
      });
      req.on("error", none);
      req.end();
    });
  }

  /**
   * `count` requests, eight at once; the number of answers by status. With `retries`, a request that found its kept-alive
   * connection closed is sent once more, as HTTP clients do (RFC 9112, section 9.3.1).
   */
  async load(gateway: Gateway, count: number, options: { retries?: boolean } = {}): Promise<Map<number, number>> {
    const path = "/v2/models/m/infer";
    const statuses = new Map<number, number>();
    let left = count;
    const worker = async () => {
      while (left-- > 0) {
        let { status } = await this.get(gateway, path);
        if (status === 0 && options.retries) ({ status } = await this.get(gateway, path));
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    return statuses;
  }

  onClose(cleanup: () => Promise<unknown>): void {
    this.#cleanups.push(cleanup);
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A route's rules. */
export type RuleInit = Pick<
  MessageInitShape<typeof RouteSchema>,
  "matches" | "sticky" | "mirrors" | "previewRevision" | "warmUp"
>;

/** A service of deployment "m" with splits in basis points by revision. */
export function service(
  splits: Record<number, number>,
  endpoints: readonly GatewayEndpoint[],
  options: { deployment?: string; windowMs?: number; generation?: bigint; rules?: RuleInit } = {},
): GatewayService {
  const deployment = options.deployment ?? "m";
  const route = create(RouteSchema, {
    deployment,
    generation: options.generation ?? 1n,
    splits: Object.entries(splits).map(([revision, basisPoints]) => ({ revision: Number(revision), basisPoints })),
    windowMs: options.windowMs ?? 50,
    stableRevision: 1,
    ...options.rules,
  });
  return { deployment, route, endpoints };
}

/** Waits until `read` gives what `accept` accepts; on time-out tells what it gave last. */
export async function eventually<T>(read: () => T | Promise<T>, accept: (value: T) => boolean): Promise<T> {
  const deadline = systemClock.monotonic() + 10_000;
  for (;;) {
    const value = await read();
    if (accept(value)) return value;
    if (systemClock.monotonic() > deadline) throw new Error(`not in time; last seen: ${show(value)}`);
    await systemClock.sleep(10);
  }
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}` : part));
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : 0);
    });
  });
}
