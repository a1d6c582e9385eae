import { createHash } from "node:crypto";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ulid } from "@kedge/domain";
import type { Job, Run } from "@kedge/proto";
import type { Stores } from "../stores.ts";

/** Calls within calls, at most. */
export const MAX_CALL_DEPTH = 8;

/**
 * The id of the run that a call job calls: the same for the same attempt, so that whoever is killed between deciding and
 * creating calls nothing twice.
 */
export function calledRunId(run: Run, job: Job, readyAt: Timestamp): string {
  const readyMs = timestampMs(readyAt);
  const digest = createHash("sha256").update(`${run.id}/${job.spec?.name}/${readyMs}`).digest();
  return ulid(readyMs, digest.subarray(0, 10));
}

/** Why a run may not call a pipeline: it would go round in a circle, or too deep; undefined: it may. */
export function callProblem(runs: Pick<Stores["runs"], "get">, run: Run, pipeline: string): string | undefined {
  const chain = callChain(runs, run);
  const names = [...chain.map((caller) => caller.pipeline).reverse(), pipeline];
  if (chain.some((caller) => caller.pipeline === pipeline))
    return `pipelines call one another in a circle: ${names.join(" -> ")}`;
  if (chain.length <= MAX_CALL_DEPTH) return undefined;
  return `calls are at most ${MAX_CALL_DEPTH} deep: ${names.join(" -> ")}`;
}

/** The run and those that called it, the innermost first. */
function callChain(runs: Pick<Stores["runs"], "get">, run: Run): Run[] {
  const chain = [run];
  for (
    let next = callerOf(runs, run);
    next !== undefined && chain.length <= MAX_CALL_DEPTH;
    next = callerOf(runs, next)
  )
    chain.push(next);
  return chain;
}

function callerOf(runs: Pick<Stores["runs"], "get">, run: Run): Run | undefined {
  return run.calledBy === "" ? undefined : runs.get(callerId(run))?.value;
}

/** The run that called a run; empty: none did. */
export function callerId({ calledBy }: Run): string {
  return calledBy.split("/", 1)[0] ?? "";
}
