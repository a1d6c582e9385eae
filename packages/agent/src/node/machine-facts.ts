import { execFile } from "node:child_process";
import { statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** What a machine has, before anything is taken off. */
export interface MachineFacts {
  readonly cores: number;
  readonly memoryBytes: number;
  /** Size of the file system that holds the node's folder. */
  readonly diskBytes: number;
}

const PROBE_TIMEOUT_MS = 20_000;
const run = promisify(execFile);

/**
 * Asks systeminformation, in a process of its own, and the operating system's own calls for what it does not know:
 * some machines report zeros.
 */
export async function readMachineFacts(folder: string): Promise<MachineFacts> {
  const [probed, { blocks, bsize }] = await Promise.all([probe(folder), statfs(folder)]);
  return {
    // A control group or an affinity mask may leave fewer cores than the machine has.
    cores: Math.min(probed.cores || Number.POSITIVE_INFINITY, availableParallelism()),
    memoryBytes: probed.memoryBytes || totalmem(),
    diskBytes: probed.diskBytes || blocks * bsize,
  };
}

async function probe(folder: string): Promise<Partial<MachineFacts>> {
  // The same folder holds the program as .ts in the sources and as .js when built.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const program = fileURLToPath(new URL(`./capacity-probe.${extension}`, import.meta.url));
  try {
    const { stdout } = await run(process.execPath, [program, folder], { timeout: PROBE_TIMEOUT_MS });
    const facts: unknown = JSON.parse(stdout);
    return isFacts(facts) ? facts : {};
  } catch {
    // The operating system's own numbers are good enough to work with.
    return {};
  }
}

function isFacts(value: unknown): value is MachineFacts {
  if (typeof value !== "object" || value === null) return false;
  return ["cores", "memoryBytes", "diskBytes"].every((key) => {
    const amount: unknown = Reflect.get(value, key);
    return typeof amount === "number" && Number.isFinite(amount) && amount >= 0;
  });
}
