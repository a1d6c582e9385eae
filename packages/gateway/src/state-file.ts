import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { errorMessage } from "@kedge/domain";
import type { Logger } from "@kedge/kernel";
import type { GatewayPlan, SplitEpoch } from "./gateway-plan.ts";

/** Where HAProxy sends its log, and what proves that a line is its own. Any local user can connect to a TCP port. */
export interface LogSink {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Begins every line; lower-case hex. */
  readonly secret: string;
}

/** What the gateway keeps for the process after it. */
export interface GatewayState {
  readonly version: 3;
  /** Port that users connect to. */
  readonly port: number;
  readonly logSink: LogSink;
  readonly plan: GatewayPlan;
  /** Splits that log lines may still refer to. */
  readonly splits: readonly SplitEpoch[];
}

/** Replaces a file at once, so that a reader sees the old or the new text and nothing between. */
export function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Writes the state. */
export function saveState(path: string, state: GatewayState): void {
  replaceFile(path, JSON.stringify(state));
}

/** The state that was written last; undefined when there is none that can be read. */
export function loadState(path: string, logger: Logger): GatewayState | undefined {
  try {
    const state = JSON.parse(readFileSync(path, "utf8"), reviveHole) as GatewayState;
    return state.version === 3 && Array.isArray(state.plan.backends) && state.logSink.port > 0 ? state : undefined;
  } catch (error) {
    const isAbsent = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (!isAbsent) logger.warn({ reason: errorMessage(error) }, "gateway state is unreadable; starting anew");
    return undefined;
  }
}

/** JSON turns an unused slot into null; it is undefined in a plan. */
function reviveHole(this: unknown, _key: string, value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return value.map((entry: unknown) => entry ?? undefined);
}
