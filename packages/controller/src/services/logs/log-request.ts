import { timestampMs } from "@bufbuild/protobuf/wkt";
import { KedgeError } from "@kedge/domain";
import { JobState, type LogChunk, type Run, type StreamLogsRequest } from "@kedge/proto";

const MAX_TAIL = 100_000;
const MAX_SEARCH_BYTES = 1_000;
const MAX_CONTEXT = 100;

/** Refuses what cannot be. @throws KedgeError INVALID_FIELD naming the field. */
export function assertLogsRequest(request: StreamLogsRequest): void {
  const { tail, search, context, failed, follow, position } = request;
  if (tail > MAX_TAIL) throw invalid("tail", `at most ${MAX_TAIL} lines`, tail);
  if (Buffer.byteLength(search) > MAX_SEARCH_BYTES)
    throw invalid("search", `at most ${MAX_SEARCH_BYTES} bytes`, "more");
  if (search.includes("\n")) throw invalid("search", "a text within one line", "a line end");
  if (context > MAX_CONTEXT) throw invalid("context", `at most ${MAX_CONTEXT} lines`, context);
  if (context > 0 && search === "") throw invalid("context", "a search to go with", "none");
  if (failed && follow)
    throw invalid("failed", "a run that is not followed: what fails is known when it has ended", "follow");
  if (position > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid("position", "one that an answer named", position);
}

/** Milliseconds since 1970; undefined: from the beginning. */
export function sinceOf({ since }: StreamLogsRequest): number | undefined {
  return since === undefined ? undefined : timestampMs(since);
}

/** Which chunks somebody wants to see, as far as the run tells. */
export function wantedChunks(request: StreamLogsRequest, run: Run): (chunk: LogChunk) => boolean {
  const { step } = request;
  const isOfStep = (chunk: LogChunk): boolean => step === "" || chunk.step === step;
  if (!request.failed) return isOfStep;
  const failed = new Map(
    run.jobs.filter(({ state }) => state === JobState.FAILED).map((job) => [job.spec?.name, failedSteps(job)]),
  );
  return (chunk) => {
    const steps = failed.get(chunk.ref?.job);
    return steps !== undefined && isOfStep(chunk) && (steps.size === 0 || steps.has(chunk.step) || chunk.step === "");
  };
}

/** Names of the steps that failed; none: the job failed outside of its steps, and all are wanted. */
function failedSteps({ steps }: Run["jobs"][number]): Set<string> {
  return new Set(steps.filter(({ state }) => state === JobState.FAILED).map(({ name }) => name));
}

function invalid(field: string, expected: string, got: unknown): KedgeError {
  return new KedgeError("INVALID_FIELD", `${field} must be ${expected}; got ${String(got)}`, { field });
}
