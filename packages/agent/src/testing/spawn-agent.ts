import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { RuntimeName } from "../config.ts";
import { MODEL_SERVER_ENTRY } from "./agent-fixture.ts";

/** An agent in a process of its own. */
export interface AgentProcess {
  readonly child: ChildProcess;
  readonly gatewayAddress: string;
  /** Kills it as a crash would, or asks it to end; resolves when it is gone. */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
}

/** What is not as usual about an agent. */
export interface SpawnOptions {
  readonly leaseMs?: number;
  readonly cutOffMs?: number;
  /** Default: plain processes. */
  readonly runtimes?: readonly RuntimeName[];
}

/** Starts an agent as a process; resolves when it has started. */
export async function spawnAgent(dataDir: string, options: SpawnOptions = {}): Promise<AgentProcess> {
  const { leaseMs = 30_000, cutOffMs = 5_000, runtimes = ["process"] } = options;
  const script = join(import.meta.dirname, "agent-process.ts");
  const settings = JSON.stringify({ dataDir, modelServerEntry: MODEL_SERVER_ENTRY, leaseMs, cutOffMs, runtimes });
  const args = ["-C", "kedge-source", script, settings];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  let output = "";
  const started = new Promise<string>((resolve, reject) => {
    child.stdout?.on("data", (data: Buffer) => {
      output += data.toString();
      const match = /^started (\S*)$/m.exec(output);
      if (match !== null) resolve(match[1] ?? "");
    });
    exited.then(() => reject(new Error(`the agent ended: ${output}`)), reject);
  });
  const gatewayAddress = await started;
  return {
    child,
    gatewayAddress,
    end: async (signal) => {
      child.kill(signal);
      await exited;
    },
  };
}
