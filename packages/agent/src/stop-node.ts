import { KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type AgentOptions, resolveAgentOptions } from "./config.ts";
import { type EndedWork, endWork } from "./end-work.ts";
import { loadIdentity } from "./identity/node-identity.ts";
import { openRuntimes } from "./node/runtimes.ts";
import { lockDataDir, lockOwner } from "./state/data-lock.ts";
import { isRunning, signalProcess } from "./state/process-identity.ts";

/** How a node is stopped. */
export interface StopNodeOptions extends Pick<AgentOptions, "dockerSocket" | "logger" | "clock"> {
  /** How long an agent that runs may take to end after SIGTERM. Default 20,000. */
  readonly agentGraceMs?: number;
}

/** What became of a node. */
export interface StoppedNode extends EndedWork {
  readonly nodeId: string;
  /** Process id of the agent that was ended; undefined when none ran. */
  readonly agentPid: number | undefined;
}

const AGENT_GRACE_MS = 20_000;
const POLL_MS = 50;

/**
 * Ends a node on purpose: its agent if one runs, then all that agents leave running. Identity and caches stay. May be
 * called again.
 *
 * @throws KedgeError INVALID_OPTION when no node has joined from this folder; CONFLICT when the agent does not end, or is
 * this very process (stop it with `RunningAgent.stop`).
 */
export async function stopNode(dataDir: string, options: StopNodeOptions = {}): Promise<StoppedNode> {
  const { agentGraceMs = AGENT_GRACE_MS, ...rest } = options;
  // No replica is started here, so the model server's script is of no account.
  const resolved = resolveAgentOptions({ ...rest, dataDir, modelServerEntry: "/dev/null" });
  const identity = await loadIdentity(dataDir);
  if (identity === undefined) throw new KedgeError("INVALID_OPTION", `${dataDir} holds no node`, { field: "dataDir" });
  const { nodeId } = identity;
  const agentPid = await endAgent(dataDir, agentGraceMs, resolved.clock);
  const unlock = await lockDataDir(dataDir);
  try {
    const runtimes = await openRuntimes(resolved, nodeId);
    const ended = await endWork({ dataDir, nodeId, runtimes, logger: resolved.logger });
    return { nodeId, agentPid, ...ended };
  } finally {
    await unlock();
  }
}

async function endAgent(dataDir: string, graceMs: number, clock: Clock): Promise<number | undefined> {
  const owner = await lockOwner(dataDir);
  if (owner === undefined) return undefined;
  if (owner.pid === process.pid) {
    throw new KedgeError("CONFLICT", `the agent of ${dataDir} runs in this process`, { field: "dataDir" });
  }
  await signalProcess(owner, "SIGTERM");
  const deadline = clock.monotonic() + graceMs;
  while (await isRunning(owner)) {
    if (clock.monotonic() > deadline) {
      const hint = `end it with: kill -9 ${owner.pid}`;
      throw new KedgeError("CONFLICT", `the agent, process ${owner.pid}, does not end`, { field: "dataDir", hint });
    }
    await clock.sleep(POLL_MS);
  }
  return owner.pid;
}
