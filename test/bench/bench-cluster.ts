import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createKedgeClient, type KedgeClient, readContexts } from "@kedge/client";
import { NodeState } from "@kedge/proto";

const kedge = fileURLToPath(new URL("../../packages/cli/bin/kedge.mjs", import.meta.url));

/** A controller and agents as a user would start them, each a process of its own. */
export interface BenchCluster extends AsyncDisposable {
  readonly dir: string;
  readonly client: KedgeClient;
  readonly controllerPid: number;
  readonly agentPids: readonly number[];
}

interface NodeOptions {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly runtime?: string;
}

interface ControllerProcessOptions {
  /** host:port of its NATS server; default: a free port. */
  readonly natsListen?: string;
  /** Arguments of Node, e.g. for a profile. */
  readonly execArgv?: readonly string[];
}

/** Starts it and waits until every node is ready. Dispose of it to end every process. */
export async function startBenchCluster(
  nodes: readonly NodeOptions[],
  { natsListen = "127.0.0.1:0", execArgv = [] }: ControllerProcessOptions = {},
): Promise<BenchCluster> {
  const dir = await mkdtemp(join(tmpdir(), "kedge-bench-"));
  const env = { ...process.env, KEDGE_CONFIG: join(dir, "config.json") };
  const children: ChildProcess[] = [];
  const start = (nodeArgs: readonly string[], ...args: string[]): ChildProcess => {
    const options = { env, stdio: ["ignore", "ignore", "inherit"] as ["ignore", "ignore", "inherit"] };
    const child = spawn(process.execPath, [...nodeArgs, kedge, ...args, "--log-level", "warn"], options);
    children.push(child);
    return child;
  };
  const listen = ["--listen", "127.0.0.1:0", "--nats-listen", natsListen, "--http-listen", "127.0.0.1:0"];
  start(execArgv, "up", "--data-dir", join(dir, "controller"), ...listen);
  const context = await until(async () => (await readContexts(env)).contexts["local"], "the controller is up");
  const client = createKedgeClient(context);
  const { token } = await client.nodes.createJoinToken({ uses: nodes.length });
  for (const { name, labels = {}, runtime = "process" } of nodes) {
    const labelArgs = Object.entries(labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]);
    const args = ["--token", token, "--name", name, "--data-dir", join(dir, name), "--runtime", runtime, ...labelArgs];
    start([], "agent", "join", "--end-serving", ...args);
  }
  await until(async () => {
    const { nodes: known } = await client.nodes.listNodes({});
    return known.filter((node) => node.state === NodeState.READY).length === nodes.length || undefined;
  }, "every node is ready");
  const [controller, ...agents] = children.map((child) => child.pid ?? 0);
  return {
    dir,
    client,
    controllerPid: controller ?? 0,
    agentPids: agents,
    [Symbol.asyncDispose]: async () => {
      client.close();
      for (const child of children.reverse()) await end(child);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Resident memory of a process in MiB. */
export async function residentMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** Polls until `probe` gives something; fails after a minute, unless told otherwise. */
export async function until<T>(probe: () => Promise<T | undefined>, what: string, withinMs = 60_000): Promise<T> {
  for (const end = Date.now() + withinMs; Date.now() < end; ) {
    const found = await probe().catch(() => undefined);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`timed out waiting until ${what}`);
}

/** The value below which a share of the samples lies. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
  await ended;
  clearTimeout(late);
}
