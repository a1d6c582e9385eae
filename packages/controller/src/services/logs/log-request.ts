import { timestampMs } from "@bufbuild/protobuf/wkt";
import { KedgeError } from "@kedge/domain";
import { JobState, type LogChunk, type Run, type StreamLogsRequest } from "@kedge/proto";

const MAX_TAIL = 100_000;
const MAX_SEARCH_BYTES = 1_000;
const MAX_CONTEXT = 100;

/** Refuses what cannot be. @throws KedgeError INVALID_FIELD naming the field. */
export function assertLogsRequest(request: StreamLogsRequest): void {
  const { tail, search, context, failed, follow, position } = request;
  refuseIf(tail > MAX_TAIL, "tail", `at most ${MAX_TAIL} lines`);
  refuseIf(Buffer.byteLength(search) > MAX_SEARCH_BYTES, "search", `at most ${MAX_SEARCH_BYTES} bytes`);
  refuseIf(search.includes("\n"), "search", "a text within one line");
  refuseIf(context > MAX_CONTEXT, "context", `at most ${MAX_CONTEXT} lines`);
  refuseIf(context > 0 && search === "", "context", "0 without a search");
  refuseIf(failed && follow, "failed", "false together with follow: what fails is known when the run has ended");
  refuseIf(position > BigInt(Number.MAX_SAFE_INTEGER), "position", "one that an answer named");
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

function refuseIf(isWrong: boolean, field: string, expected: string): void {
  if (isWrong) throw new KedgeError("INVALID_FIELD", `${field} must be ${expected}`, { field });
}
