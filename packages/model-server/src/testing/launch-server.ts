import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { systemClock } from "@kedge/kernel";
import { MODEL_SERVER_ENTRY } from "../entry.ts";

const READY_TIMEOUT_MS = 30_000;

/** A model server process with its own model folder; disposing ends the process and removes the folder. */
export interface LaunchedServer extends AsyncDisposable {
  /** Origin and path up to `/v2`. */
  readonly url: string;
  readonly stderr: readonly string[];
  get(path: string): Promise<{ status: number; body: unknown }>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  signal(name: NodeJS.Signals): void;
  /** Exit code, when the process has ended. */
  exited(): Promise<number | null>;
}

/** Starts the program on these model files; resolves as soon as it is ready, or has ended. */
export async function launchServer(
  files: Readonly<Record<string, string | Uint8Array>>,
  args: readonly string[] = [],
): Promise<LaunchedServer> {
  const modelDir = await mkdtemp(join(tmpdir(), "kedge-model-server-"));
  for (const [name, content] of Object.entries(files)) await writeFile(join(modelDir, name), content);
  const flags = ["--model-dir", modelDir, "--name", "demo", "--version", "3", "--port", "0", ...args];
  const child = spawn(process.execPath, ["-C", "kedge-source", MODEL_SERVER_ENTRY, ...flags], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exit = once(child, "exit").then(([code]) => code as number | null);
  const stderr: string[] = [];
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  let origin = "";
  createInterface({ input: child.stderr }).on("line", (line) => {
    stderr.push(line);
    origin = /"address":"([^"]+)"/.exec(line)?.[1] ?? origin;
    if (line.includes('"msg":"model is ready"')) resolve();
  });
  const server: LaunchedServer = {
    get url() {
      return `${origin}/v2`;
    },
    stderr,
    get: async (path) => {
      const response = await fetch(`${origin}/v2${path}`);
      return { status: response.status, body: await response.json() };
    },
    post: (path, body, headers = {}) => {
      const raw = typeof body === "string" || body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body);
      return fetch(`${origin}/v2${path}`, { method: "POST", body: raw, headers });
    },
    signal: (name) => child.kill(name),
    exited: () => exit,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exit;
      await rm(modelDir, { recursive: true, force: true });
    },
  };
  const late = systemClock.after(READY_TIMEOUT_MS, () => child.kill("SIGKILL"));
  await Promise.race([ready, exit]);
  late();
  return server;
}
