import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { MODEL_SERVER_ENTRY } from "./agent-fixture.ts";

/** An agent in a process of its own. */
export interface AgentProcess {
  readonly child: ChildProcess;
  readonly gatewayAddress: string;
  /** Kills it as a crash would, or asks it to end; resolves when it is gone. */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
}

/** Starts an agent as a process; resolves when it has started. Times other than the usual are in milliseconds. */
export async function spawnAgent(dataDir: string, leaseMs = 30_000, cutOffMs = 5_000): Promise<AgentProcess> {
  const script = join(import.meta.dirname, "agent-process.ts");
  const args = ["-C", "kedge-source", script, dataDir, MODEL_SERVER_ENTRY, String(leaseMs), String(cutOffMs)];
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
