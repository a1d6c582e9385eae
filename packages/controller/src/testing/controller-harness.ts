import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { isRunEnded } from "@kedge/domain";
import { type Clock, silentLogger, systemClock } from "@kedge/kernel";
import {
  ComponentService,
  DeploymentService,
  FlagService,
  IncidentService,
  ModelService,
  NodeService,
  PipelineService,
  type Run,
  RunService,
  SchedulingService,
  SecretService,
  TokenService,
} from "@kedge/proto";
import { createRpcClient, type RpcClient } from "@kedge/rpc";
import { type RunningController, startController } from "../controller.ts";
import { eventually } from "./eventually.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

/** A real controller in a folder of its own, with clients and agents that speak to it; `stop` ends and removes all. */
export class ControllerHarness {
  readonly dir: string;
  readonly clock: SkewedClock;
  readonly #agents: ScriptedAgent[] = [];
  readonly #clients: { close(): void }[] = [];
  #controller: RunningController | undefined;

  private constructor(dir: string, clock: SkewedClock) {
    this.dir = dir;
    this.clock = clock;
  }

  static async start(): Promise<ControllerHarness> {
    const dir = await mkdtemp(join(tmpdir(), "kedge-controller-"));
    const harness = new ControllerHarness(dir, skewedClock());
    await harness.startController();
    return harness;
  }

  get controller(): RunningController {
    if (this.#controller === undefined) throw new Error("the controller is stopped");
    return this.#controller;
  }

  async startController(): Promise<void> {
    this.#controller = await startController(this.#options(), new AbortController().signal);
  }

  /** Another one on the same folder. */
  startSecond(): Promise<RunningController> {
    return startController(this.#options(), new AbortController().signal);
  }

  async stopController(options: { keepNats?: boolean } = {}): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    await this.#controller?.stop(options);
    this.#controller = undefined;
  }

  client<S extends DescService>(service: S, token = this.controller.adminToken): RpcClient<S> {
    const client = createRpcClient(service, {
      address: this.controller.address,
      caPem: this.controller.caPem,
      serverName: "127.0.0.1",
      token,
      waitForReadyMs: 5_000,
    });
    this.#clients.push(client);
    return client;
  }

  get runs() {
    return this.client(RunService);
  }
  get nodes() {
    return this.client(NodeService);
  }
  get models() {
    return this.client(ModelService);
  }
  get deployments() {
    return this.client(DeploymentService);
  }
  get pipelines() {
    return this.client(PipelineService);
  }
  get flags() {
    return this.client(FlagService);
  }
  get incidents() {
    return this.client(IncidentService);
  }
  get scheduling() {
    return this.client(SchedulingService);
  }
  get components() {
    return this.client(ComponentService);
  }
  get secrets() {
    return this.client(SecretService);
  }
  get tokens() {
    return this.client(TokenService);
  }

  /** Joins a node and waits until the controller counts on it. */
  async agent(nodeId: string, labels: Readonly<Record<string, string>> = {}): Promise<ScriptedAgent> {
    const { token } = await this.nodes.createJoinToken({ labels });
    const agent = await ScriptedAgent.join({ nodeId, joinToken: token, client: this.client(NodeService, "") });
    agent.labels = labels;
    this.#agents.push(agent);
    const { nodes } = this;
    await eventually(
      async () => (await nodes.getNode({ nodeId })).node,
      (node) => node?.state === 1,
    );
    return agent;
  }

  async submit(source: string): Promise<Run> {
    const { run } = await this.runs.submitRun({ pipeline: { case: "pipelineSource", value: source } });
    if (run === undefined) throw new Error("no run came back");
    return run;
  }

  async run(runId: string): Promise<Run> {
    const { run } = await this.client(RunService).getRun({ runId });
    if (run === undefined) throw new Error("no run came back");
    return run;
  }

  /** The run once it satisfies a condition; by default, once it has ended. */
  until(runId: string, isDone = (run: Run): boolean => isRunEnded(run.state)): Promise<Run> {
    const client = this.runs;
    return eventually(async () => (await client.getRun({ runId })).run as Run, isDone);
  }

  async stop(): Promise<void> {
    for (const agent of this.#agents.splice(0)) await agent.stop();
    await this.stopController();
    await rm(this.dir, { recursive: true, force: true });
  }

  #options() {
    const free = "127.0.0.1:0";
    const options = { listen: free, natsListen: free, httpListen: free, env: process.env, logger: silentLogger };
    return { ...options, dataDir: this.dir, clock: this.clock };
  }
}

/** The machine's clock, with a wall time that can be put forward. */
export interface SkewedClock extends Clock {
  skip(ms: number): void;
}

function skewedClock(): SkewedClock {
  let skewMs = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + skewMs,
    skip: (ms) => {
      skewMs += ms;
    },
  };
}
