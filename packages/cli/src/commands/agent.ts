import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { resolve } from "node:path";
import type { ListenAddress, RuntimeName } from "@kedge/agent";
import { KedgeError, MAX_NAME_LENGTH } from "@kedge/domain";
import { aborted, createLogger } from "@kedge/kernel";
import { Command, InvalidArgumentError, Option } from "commander";
import { keyValue, repeated } from "../options.ts";
import { type CommandGroup, createOutput, type Host } from "../session.ts";
import { defaultDataDir, LOG_LEVELS } from "./up.ts";

interface RunOptions {
  readonly dataDir: string;
  readonly gatewayListen?: ListenAddress;
  readonly metricsListen?: ListenAddress;
  readonly runtime?: RuntimeName[];
  readonly resource?: Readonly<Record<string, number>>;
  readonly costPerHour?: number;
  readonly logLimit?: number;
  readonly aloneAfter?: number;
  readonly endServing?: boolean;
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

interface JoinOptions extends RunOptions {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly ifNeeded?: boolean;
  readonly name?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly taint?: readonly string[];
}

const JOIN_TIMEOUT_MS = 30_000;

/** `kedge agent ...` */
export const agentCommands: CommandGroup = (program, host) => {
  const agent = program.command("agent").description("make this machine a node");
  const join = new Command("join")
    .description("enrol this machine with a join token, then run the agent")
    .option("--token <token>", "join token (KEDGE_JOIN_TOKEN)")
    .option("--token-file <path>", "file with the join token")
    .option("--if-needed", "when the machine has joined before, only run the agent")
    .option("--name <name>", "name of the node; default: the host's name")
    .option("--label <key=value>", "label of the node; may be repeated", keyValue)
    .option("--taint <key>", "taint of the node; may be repeated", repeated);
  addRunOptions(join).action(async (options: JoinOptions) => {
    const { joinNode, loadIdentity } = await import("@kedge/agent");
    const dataDir = resolve(options.dataDir);
    if (!options.ifNeeded || (await loadIdentity(dataDir)) === undefined) {
      const token = await joinToken(host, options);
      const { name: nodeId = hostNodeName(), label: labels = {}, taint: taints = [] } = options;
      const signal = AbortSignal.any([host.signal(), AbortSignal.timeout(JOIN_TIMEOUT_MS)]);
      await joinNode({ token, nodeId, labels, taints, dataDir, signal });
      // Enrolling loaded gRPC, which an agent at rest has no use for; a fresh process does without.
      host.startOver?.("--if-needed");
    }
    await runAgent(host, options);
  });
  const run = addRunOptions(new Command("run").description("run the agent of a machine that has joined"));
  run.action((options: RunOptions) => runAgent(host, options));
  const stop = new Command("stop")
    .description("end the agent of this machine and all that it runs; the node stays joined")
    .addOption(dataDirOption());
  stop.action((options: Pick<RunOptions, "dataDir">) => stopAgent(host, options.dataDir));
  agent.addCommand(join).addCommand(run).addCommand(stop);
};

async function joinToken(host: Host, { token, tokenFile }: JoinOptions): Promise<string> {
  if (token !== undefined) return token;
  if (tokenFile !== undefined) {
    return readFile(tokenFile, "utf8").catch((cause: unknown) => {
      throw new KedgeError("INVALID_OPTION", `cannot read ${tokenFile}`, { field: "--token-file", cause });
    });
  }
  const fromEnv = host.env["KEDGE_JOIN_TOKEN"];
  if (fromEnv !== undefined) return fromEnv;
  const hint = "Make one with kedge token create --node.";
  throw new KedgeError("INVALID_OPTION", "a join token is needed", { field: "--token", hint });
}

function addRunOptions(command: Command): Command {
  return command
    .addOption(dataDirOption())
    .option("--gateway-listen <host:port>", "where models are served; default: 127.0.0.1, a free port", listenAddress)
    .option("--metrics-listen <host:port>", "serve Prometheus metrics", listenAddress)
    .option("--runtime <list>", "comma-separated: docker, process; default: what is there", runtimes)
    .option("--resource <name=amount>", "custom resource in whole units, e.g. watts=700; may be repeated", resources)
    .option("--cost-per-hour <amount>", "what an hour of this node costs; the same currency on all nodes", cost)
    .option(
      "--alone-after <seconds>",
      "silence of the controller after which this node judges rollouts by itself, 3 to 60; default: 5",
      silence,
    )
    .option("--log-limit <size>", "most that a job may log, e.g. 200Mi; the rest is dropped; default: 1Gi", logLimit)
    .option("--end-serving", "on exit end replicas, tasks and gateway, which otherwise run on")
    .addOption(new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS).default("info"));
}

function dataDirOption(): Option {
  const description = "where the node keeps its identity and files";
  return new Option("--data-dir <path>", description).default(defaultDataDir("agent"));
}

function runtimes(text: string): string[] {
  const list = text.split(",");
  if (list.every((kind) => kind === "docker" || kind === "process")) return list;
  throw new InvalidArgumentError("Expected docker, process or both.");
}

function resources(text: string, previous: Readonly<Record<string, number>> = {}): Record<string, number> {
  const [, name, amount] = /^([A-Za-z0-9][A-Za-z0-9._/-]{0,62})=(\d{1,9})$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("Expected a name and a whole number, e.g. watts=700.");
  return { ...previous, [name]: Number(amount) };
}

function cost(text: string): number {
  if (/^\d{1,9}(?:\.\d{1,6})?$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected an amount from 0, e.g. 2.75.");
}

function logLimit(text: string): number {
  const [, amount, unit = ""] = /^(\d{1,6})(Ki|Mi|Gi)$/.exec(text) ?? [];
  if (amount === undefined || Number(amount) === 0) throw new InvalidArgumentError("Expected a size, e.g. 200Mi.");
  return Number(amount) * 1024 ** (["Ki", "Mi", "Gi"].indexOf(unit) + 1);
}

function silence(text: string): number {
  const seconds = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (seconds >= 3 && seconds <= 60) return seconds;
  throw new InvalidArgumentError("Expected 3 to 60 seconds.");
}

function listenAddress(text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) throw new InvalidArgumentError("Expected host:port.");
  return { host, port };
}

/** The machine's name as a node name: its first label, with dashes for what a node name must not have. */
function hostNodeName(): string {
  const label = hostname().split(".")[0] ?? "";
  return (
    label
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .slice(0, MAX_NAME_LENGTH.node)
      .replace(/^-|-$/g, "") || "node"
  );
}

async function runAgent(host: Host, options: RunOptions): Promise<void> {
  // Loaded on demand: no other command needs it.
  const { startAgent } = await import("@kedge/agent");
  const { MODEL_SERVER_ENTRY } = await import("@kedge/model-server");
  const {
    gatewayListen,
    metricsListen,
    runtime,
    logLevel,
    resource = {},
    costPerHour = 0,
    aloneAfter,
    logLimit,
  } = options;
  const agent = await startAgent({
    dataDir: resolve(options.dataDir),
    modelServerEntry: MODEL_SERVER_ENTRY,
    logger: createLogger({ name: "agent", level: logLevel }),
    capacity: { custom: resource, costPerHour },
    ...(aloneAfter === undefined ? {} : { cutOffMs: aloneAfter * 1000 }),
    ...(logLimit === undefined ? {} : { logLimitBytes: logLimit }),
    ...(gatewayListen === undefined ? {} : { gatewayListen }),
    ...(metricsListen === undefined ? {} : { metricsListen }),
    ...(runtime === undefined ? {} : { runtimes: runtime }),
  });
  const serving = agent.gatewayAddress === "" ? "" : `, serving at ${agent.gatewayAddress}`;
  createOutput(host, false).progress(`node ${agent.nodeId} is running${serving}`);
  await aborted(host.signal());
  await agent.stop({ endWork: options.endServing ?? false });
}

async function stopAgent(host: Host, dataDir: string): Promise<void> {
  const { stopNode } = await import("@kedge/agent");
  const logger = createLogger({ name: "agent", level: "warn" });
  const { nodeId, agentPid, tasks, replicas } = await stopNode(resolve(dataDir), { logger });
  const agent = agentPid === undefined ? "no agent ran" : `agent ${agentPid} ended`;
  createOutput(host, false).progress(`node ${nodeId}: ${agent}; ended ${replicas} replicas and ${tasks} tasks`);
}
