import { join } from "node:path";
import { loadIdentity, stopNode } from "@kedge/agent";
import { createKedgeClient, type KedgeClient, loadContext } from "@kedge/client";
import { silentLogger, systemClock } from "@kedge/kernel";
import { type Node, NodeState } from "@kedge/proto";
import { Program } from "./program.ts";
import type { Timeline } from "./timeline.ts";

/** One node of the demo. */
export interface NodePlan {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly purpose: string;
}

/** Where things are. */
export interface ClusterOptions {
  /** The repository. */
  readonly root: string;
  /** Temporary folder; short, as sockets lie in it. */
  readonly folder: string;
  readonly docker: boolean;
  readonly timeline: Timeline;
  readonly signal: AbortSignal;
}

/** The nodes: where to build, where to evaluate, and two places near users. */
export const NODES: readonly NodePlan[] = [
  { name: "build-1", labels: { role: "build" }, purpose: "builds and tests" },
  { name: "gpu-1", labels: { gpu: "true" }, purpose: "evaluates (labelled as a GPU machine; it has none)" },
  { name: "edge-1", labels: { role: "edge", zone: "eu" }, purpose: "serves users" },
  { name: "edge-2", labels: { role: "edge", zone: "us" }, purpose: "serves users" },
];

const START_TIMEOUT_MS = 30_000;
const AGENT_GRACE_MS = 10_000;
const CONTROLLER_GRACE_MS = 15_000;

/** A controller and its agents, each a `kedge` process as a user would start it. */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #agents = new Map<string, Program>();
  #controller: Program | undefined;
  #client: KedgeClient | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { root, folder } = options;
    const path = `${join(root, "node_modules/.bin")}:/usr/sbin:/sbin:${process.env["PATH"] ?? ""}`;
    // What the person's shell says of another controller must not lead the demo there.
    const { KEDGE_ADDRESS: _a, KEDGE_TOKEN: _t, KEDGE_CA_FILE: _c, ...inherited } = process.env;
    this.#env = { ...inherited, PATH: path, KEDGE_CONFIG: join(folder, "context.json"), NO_COLOR: "1" };
  }

  /** The context file that `kedge` must be pointed at. */
  get contextFile(): string {
    return join(this.#options.folder, "context.json");
  }

  get client(): KedgeClient {
    if (this.#client === undefined) throw new Error("the controller is not up yet");
    return this.#client;
  }

  async startController(): Promise<void> {
    const { folder, signal, timeline } = this.#options;
    const free = "127.0.0.1:0";
    const listen = ["--listen", free, "--nats-listen", free, "--http-listen", free];
    this.#controller = this.#kedge("controller", ["up", "--data-dir", join(folder, "controller"), ...listen]);
    await this.#controller.output(/^Kedge is up/m, START_TIMEOUT_MS, signal);
    const context = await loadContext({ env: this.#env });
    this.#client = createKedgeClient(context);
    timeline.say("control", `kedge up: controller and its NATS server at ${context.address}`);
  }

  /** Joins all nodes and waits until the controller hears them; the gateways' addresses by node. */
  async startAgents(): Promise<void> {
    const { signal } = this.#options;
    const { token } = await this.client.nodes.createJoinToken({ uses: NODES.length }, { signal });
    await Promise.all(NODES.map((plan) => this.#join(plan, token)));
    for (const plan of NODES) {
      const { gatewayAddress } = await this.#ready(plan.name);
      const labels = Object.entries(plan.labels).map(([key, value]) => `${key}=${value}`);
      const serves = plan.labels["role"] === "edge" ? ` at ${gatewayAddress}` : "";
      this.#options.timeline.say(plan.name, `joined with ${labels.join(" ")}: ${plan.purpose}${serves}`);
    }
  }

  /** host:port of the edge nodes' gateways. */
  async gateways(): Promise<string[]> {
    const edges = NODES.filter(({ labels }) => labels["role"] === "edge");
    return Promise.all(edges.map(async ({ name }) => (await this.#ready(name)).gatewayAddress));
  }

  /** Ends everything, whatever state it is in; answers what could not be ended. May be called at any time, once. */
  async stop(): Promise<string[]> {
    this.#client?.close();
    const ended = await Promise.allSettled([...this.#agents].map(([name, agent]) => this.#leave(name, agent)));
    await this.#controller?.stop(CONTROLLER_GRACE_MS);
    return ended.filter((it) => it.status === "rejected").map(({ reason }) => String(reason));
  }

  async #join({ name, labels }: NodePlan, token: string): Promise<void> {
    const { docker, signal } = this.#options;
    const options = ["--name", name, "--data-dir", this.#dataDir(name), "--end-serving", "--log-level", "warn"];
    const labelled = Object.entries(labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]);
    const runtime = docker ? [] : ["--runtime", "process"];
    const agent = this.#kedge(name, ["agent", "join", ...options, ...labelled, ...runtime], {
      KEDGE_JOIN_TOKEN: token,
    });
    this.#agents.set(name, agent);
    await agent.output(/is running/, START_TIMEOUT_MS, signal);
  }

  /** An agent ends its work as it goes; what one that died or was killed left is ended for it. */
  async #leave(name: string, agent: Program): Promise<void> {
    await agent.stop(AGENT_GRACE_MS);
    const dataDir = this.#dataDir(name);
    const engine = this.#options.docker ? {} : { dockerSocket: "/nonexistent" };
    if ((await loadIdentity(dataDir)) !== undefined) await stopNode(dataDir, { logger: silentLogger, ...engine });
  }

  #dataDir(name: string): string {
    return join(this.#options.folder, name);
  }

  async #ready(nodeId: string): Promise<Node> {
    const { signal } = this.#options;
    const deadline = systemClock.monotonic() + START_TIMEOUT_MS;
    for (;;) {
      const { node } = await this.client.nodes.getNode({ nodeId }, { signal });
      if (node?.state === NodeState.READY) return node;
      if (systemClock.monotonic() > deadline)
        throw new Error(`node ${nodeId} is not ready: ${JSON.stringify(node?.state)}`);
      await systemClock.sleep(100, signal);
    }
  }

  #kedge(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
    const { root, folder } = this.#options;
    const command = [process.execPath, join(root, "packages/cli/bin/kedge.mjs"), ...args];
    return new Program(command, { log: join(folder, `${name}.log`), env: { ...this.#env, ...env } });
  }
}
