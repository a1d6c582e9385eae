import { KedgeError } from "@kedge/domain";
import { aborted } from "@kedge/kernel";
import { Command, InvalidArgumentError, Option } from "commander";
import { joinNode, startAgent } from "../embedded.ts";
import { keyValue, repeated } from "../options.ts";
import { type CommandGroup, createOutput, type Host } from "../session.ts";
import { defaultDataDir, LOG_LEVELS } from "./up.ts";

interface RunOptions {
  readonly dataDir: string;
  readonly gatewayListen: string;
  readonly metricsListen?: string;
  readonly runtime: readonly ("docker" | "process")[];
  readonly logLevel: string;
}

interface JoinOptions extends RunOptions {
  readonly token?: string;
  readonly name?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly taint?: readonly string[];
}

/** `kedge agent ...` */
export const agentCommands: CommandGroup = (program, host) => {
  const agent = program.command("agent").description("make this machine a node");
  const join = new Command("join")
    .description("enrol this machine with a join token, then run the agent")
    .option("--token <token>", "join token (KEDGE_JOIN_TOKEN)")
    .option("--name <name>", "name of the node; default: the host's name")
    .option("--label <key=value>", "label of the node; may be repeated", keyValue)
    .option("--taint <key>", "taint of the node; may be repeated", repeated);
  addRunOptions(join).action(async (options: JoinOptions) => {
    const token = options.token ?? host.env["KEDGE_JOIN_TOKEN"];
    if (token === undefined) {
      const hint = "Make one with kedge token create --node.";
      throw new KedgeError("INVALID_OPTION", "a join token is needed", { field: "--token", hint });
    }
    const { name, label: labels = {}, taint: taints = [], dataDir } = options;
    await joinNode({ token, labels, taints, dataDir, signal: host.signal(), ...(name === undefined ? {} : { name }) });
    await runAgent(host, options);
  });
  const run = addRunOptions(new Command("run").description("run the agent of a machine that has joined"));
  run.action((options: RunOptions) => runAgent(host, options));
  agent.addCommand(join).addCommand(run);
};

function addRunOptions(command: Command): Command {
  return command
    .option("--data-dir <path>", "where the node keeps its identity and files", defaultDataDir("agent"))
    .option("--gateway-listen <host:port>", "where models are served; port 0: a free one", "127.0.0.1:0")
    .option("--metrics-listen <host:port>", "serve Prometheus metrics")
    .option("--runtime <list>", "comma-separated: docker, process", runtimes, ["docker", "process"])
    .addOption(new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS).default("info"));
}

function runtimes(text: string): string[] {
  const list = text.split(",");
  if (list.every((kind) => kind === "docker" || kind === "process")) return list;
  throw new InvalidArgumentError("Expected docker, process or both.");
}

async function runAgent(host: Host, options: RunOptions): Promise<void> {
  const { dataDir, gatewayListen, metricsListen, runtime, logLevel } = options;
  const metrics = metricsListen === undefined ? {} : { metricsListen };
  const signal = host.signal();
  const agent = await startAgent({ dataDir, gatewayListen, runtimes: runtime, logLevel, ...metrics });
  createOutput(host, false).progress(`node ${agent.nodeId} is running`);
  await aborted(signal);
  await agent.stop();
}
