import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createKedgeClient, type KedgeClient, loadContext } from "@kedge/client";
import { freePort } from "@kedge/kernel";
import { type Node, NodeState } from "@kedge/proto";
import { endContainersOf } from "./containers.ts";
import { KedgeProcess } from "./kedge.ts";
import { endProcessesOf, type FoundProcess, processMatching } from "./processes.ts";
import { waitFor, waitUntil } from "./wait-for.ts";

/** A node of a test cluster. */
export interface NodeOptions {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly string[];
  /** Default: process. */
  readonly runtime?: "process" | "docker,process";
}

/** A joined node and its agent. */
export interface ClusterNode {
  /** The name with a suffix of this cluster: containers of other clusters on the same engine are not ours. */
  readonly id: string;
  readonly dataDir: string;
  readonly agent: KedgeProcess;
}

/** A controller and its agents, each a process of its own, as a user would start them. */
export class Cluster implements AsyncDisposable {
  readonly folder: string;
  /** For `kedge` commands of this cluster. */
  readonly env: NodeJS.ProcessEnv;
  readonly controller: KedgeProcess;
  /** host:port of the controller's HTTP server. */
  readonly httpAddress: string;
  readonly #nodes = new Map<string, ClusterNode>();
  readonly #suffix = randomBytes(3).toString("hex");
  #client: KedgeClient | undefined;

  private constructor(folder: string, ports: readonly number[]) {
    this.folder = folder;
    // What the shell says of another controller must not lead the tests there.
    const { KEDGE_ADDRESS: _a, KEDGE_TOKEN: _t, KEDGE_CA_FILE: _c, ...inherited } = process.env;
    this.env = { ...inherited, KEDGE_CONFIG: join(folder, "config.json"), NO_COLOR: "1" };
    const [api, nats, http] = ports.map((port) => `127.0.0.1:${port}`);
    this.httpAddress = http ?? "";
    const listen = ["--listen", api ?? "", "--nats-listen", nats ?? "", "--http-listen", http ?? ""];
    const args = ["up", "--data-dir", join(folder, "controller"), ...listen];
    this.controller = new KedgeProcess({ args, env: this.env, logFile: join(folder, "controller.log") });
  }

  /** Starts it; when a part does not come up, everything is ended and the error has the logs' ends. */
  static async start(nodes: readonly NodeOptions[]): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), "kedge-e2e-"));
    const cluster = new Cluster(folder, await Promise.all([freePort(), freePort(), freePort()]));
    try {
      await cluster.#connect();
      await Promise.all(nodes.map((node) => cluster.join(node)));
      return cluster;
    } catch (error) {
      const logs = [cluster.controller, ...[...cluster.#nodes.values()].map(({ agent }) => agent)];
      const ends = logs.map(({ output }) => output.slice(-1500)).join("\n---\n");
      await cluster[Symbol.asyncDispose]();
      throw new Error(`the cluster did not start:\n${ends}`, { cause: error });
    }
  }

  get client(): KedgeClient {
    if (this.#client === undefined) throw new Error("the controller is not up");
    return this.#client;
  }

  /** The node that was started under this name. */
  node(name: string): ClusterNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** Joins one more node and waits until it is ready. */
  async join({ name, labels = {}, taints = [], runtime = "process" }: NodeOptions): Promise<ClusterNode> {
    const id = `${name}-${this.#suffix}`;
    const dataDir = join(this.folder, id);
    await mkdir(dataDir);
    const { token } = await this.client.nodes.createJoinToken({ labels: { ...labels } });
    const options = ["--name", id, "--data-dir", dataDir, "--runtime", runtime];
    options.push(...taints.flatMap((taint) => ["--taint", taint]));
    const args = ["agent", "join", "--if-needed", ...options];
    const env = { ...this.env, KEDGE_JOIN_TOKEN: token };
    const agent = new KedgeProcess({ args, env, logFile: join(this.folder, `${id}.log`) });
    const node = { id, dataDir, agent };
    this.#nodes.set(name, node);
    await this.readyNode(name);
    return node;
  }

  /** Waits until the node is ready; its record. */
  async readyNode(name: string): Promise<Node> {
    const nodeId = this.node(name).id;
    return waitFor(`node ${nodeId} is ready`, async () => {
      const { node } = await this.client.nodes.getNode({ nodeId });
      return node?.state === NodeState.READY ? { value: node } : { instead: node };
    });
  }

  /** The NATS server that the controller started. */
  natsServer(): Promise<FoundProcess> {
    return processMatching(join(this.folder, "controller"), /^\S*nats-server /);
  }

  /** The gateway of a node: the worker of HAProxy, which is what serves. */
  haproxy(name: string): Promise<FoundProcess> {
    return processMatching(this.node(name).dataDir, /^\S*haproxy /);
  }

  /** Ends every process and container of it, also those that outlive their agents by design. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#client?.close();
    await endProcessesOf(this.folder);
    for (const { id } of this.#nodes.values()) await endContainersOf(id);
    await rm(this.folder, { recursive: true, force: true });
  }

  async #connect(): Promise<void> {
    await waitUntil("the controller is up", async () => {
      const seen = this.controller.output.slice(-500);
      return { ok: /^Kedge is up/m.test(seen) || !this.controller.running, seen };
    });
    if (!this.controller.running) throw new Error("the controller ended");
    this.#client = createKedgeClient(await loadContext({ env: this.env }));
  }
}
