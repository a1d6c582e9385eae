import { KedgeError } from "@kedge/domain";

/** What `kedge up` gives to `startController` of @kedge/controller. */
export interface ControllerStartOptions {
  readonly dataDir: string;
  readonly listen: string;
  readonly natsListen: string;
  readonly httpListen: string;
  /** Path of the nats-server program; absent: the controller finds it. */
  readonly natsServer?: string;
  /** Host that agents and the certificate use; absent: the host of `listen`. */
  readonly advertise?: string;
  readonly logLevel: string;
}

/** A controller in this process. */
export interface RunningController {
  /** `host:port` of the gRPC API. */
  readonly address: string;
  readonly caPem: string;
  readonly adminToken: string;
  stop(): Promise<void>;
}

/** What `kedge agent join` gives to `joinNode` of @kedge/agent. */
export interface JoinOptions {
  readonly token: string;
  readonly name?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly string[];
  readonly dataDir: string;
  readonly signal: AbortSignal;
}

/** What `kedge agent join` and `run` give to `startAgent` of @kedge/agent. */
export interface AgentStartOptions {
  readonly dataDir: string;
  readonly gatewayListen: string;
  readonly metricsListen?: string;
  readonly runtimes: readonly ("docker" | "process")[];
  readonly logLevel: string;
}

/** An agent in this process. */
export interface RunningAgent {
  readonly nodeId: string;
  stop(): Promise<void>;
}

/** Starts a controller in this process. The package is loaded only now: no other command needs it. */
export async function startController(options: ControllerStartOptions): Promise<RunningController> {
  const start = await entryPoint<(options: ControllerStartOptions) => Promise<RunningController>>(
    "@kedge/controller",
    "startController",
  );
  return start(options);
}

/** Enrols this machine as a node and keeps its identity in the data folder. */
export async function joinNode(options: JoinOptions): Promise<void> {
  const join = await entryPoint<(options: JoinOptions) => Promise<unknown>>("@kedge/agent", "joinNode");
  await join(options);
}

/** Starts the agent of a machine that has joined. */
export async function startAgent(options: AgentStartOptions): Promise<RunningAgent> {
  const start = await entryPoint<(options: AgentStartOptions) => Promise<RunningAgent>>("@kedge/agent", "startAgent");
  return start(options);
}

async function entryPoint<F>(packageName: string, name: string): Promise<F> {
  const module: Readonly<Record<string, unknown>> = await import(packageName).catch((cause: unknown) => {
    throw new KedgeError("UNSUPPORTED_PLATFORM", `${packageName} cannot be loaded`, {
      cause,
      hint: "Install Kedge whole, and build it.",
    });
  });
  const found = module[name];
  if (typeof found !== "function") throw new KedgeError("INTERNAL", `${packageName} has no ${name}`);
  return found as F;
}
