import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";

const STOP_GRACE_MS = 10_000;
const POLL_MS = 25;
const BANNER_TIMEOUT_MS = 1_000;

/** Starts a server that outlives this process; returns its process id. */
export function startDetached(binary: string, configFile: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, ["-c", configFile], { detached: true, stdio: "ignore" });
    child.once("error", (cause) => {
      reject(new KedgeError("PROCESS_FAILED", `${binary} cannot be started`, { cause }));
    });
    child.once("spawn", () => {
      child.unref();
      if (child.pid !== undefined) resolve(child.pid);
    });
  });
}

/** Tells whether a process id is that of a server started with this very configuration file. */
export async function isOurServer(pid: number, configFile: string): Promise<boolean> {
  try {
    const [commandLine, status] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, "utf8"),
      readFile(`/proc/${pid}/stat`, "utf8"),
    ]);
    const isZombie = status.slice(status.lastIndexOf(")") + 2).startsWith("Z");
    return !isZombie && commandLine.split("\0").includes(configFile);
  } catch {
    // No such process, or one that ended while it was looked at.
    return false;
  }
}

/** Ends a server: SIGTERM, and SIGKILL when it takes longer than the grace time. Resolves when it is gone. */
export async function endServer(pid: number, configFile: string, clock: Clock): Promise<void> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (!(await isOurServer(pid, configFile))) return;
    sendSignal(pid, signal);
    const deadline = clock.monotonic() + STOP_GRACE_MS;
    while (clock.monotonic() < deadline) {
      if (!(await isOurServer(pid, configFile))) return;
      await clock.sleep(POLL_MS);
    }
  }
  throw new KedgeError("PROCESS_FAILED", `nats-server (process ${pid}) cannot be ended`);
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended in the meantime; the caller looks again.
  }
}

/** The name a server on this port gives itself in its greeting; undefined when none answers. */
export function greetingServerName(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let text = "";
    const finish = (name: string | undefined): void => {
      socket.destroy();
      resolve(name);
    };
    socket.setTimeout(BANNER_TIMEOUT_MS, () => finish(undefined));
    socket.on("error", () => finish(undefined));
    socket.on("close", () => finish(undefined));
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("utf8");
      if (text.includes("\r\n")) finish(/"server_name":"([^"]*)"/.exec(text)?.[1]);
      else if (text.length > 65_536) finish(undefined);
    });
  });
}
