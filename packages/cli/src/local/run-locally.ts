import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { LocalNode } from "@kedge/agent";
import type { LocalRun } from "@kedge/controller";
import { isJobEnded } from "@kedge/domain";
import { systemClock as clock, createLogger, newId } from "@kedge/kernel";
import {
  GetRunResponseSchema,
  type Job,
  JobState,
  type LogChunk,
  type PipelineSpec,
  type Run,
  type Source,
  StreamLogsResponseSchema,
} from "@kedge/proto";
import type { Output } from "../output/output.ts";
import { enumName, formatSpan, safeText } from "../output/text.ts";
import { runView } from "../output/views.ts";
import { FoldedLog } from "./folded-log.ts";

/** A pipeline that is run on this machine. */
export interface LocalRunRequest {
  readonly spec: PipelineSpec;
  /** Without the secret ones. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly source: Source | undefined;
  /** Values of all secrets that its jobs ask for. */
  readonly secrets: ReadonlyMap<string, Uint8Array>;
  /** Jobs that run at once. */
  readonly maxJobs: number;
  readonly runtimes: readonly ("process" | "docker")[] | undefined;
  /** Absolute folder for workspaces. */
  readonly baseDir: string;
  /** Answers an approval job. */
  readonly approve: (job: string, message: string, signal: AbortSignal) => Promise<boolean>;
  readonly output: Output;
  /** Cancels the run; post steps still run. */
  readonly signal: AbortSignal;
}

/**
 * Runs a pipeline on this machine to its end, with the agent's executor and the controller's rules, and prints its logs one
 * job after the other. Ends and removes all that it started.
 */
export async function runLocally(request: LocalRunRequest): Promise<Run> {
  // Loaded on demand: no other command needs all.
  const [agent, controller, { MODEL_SERVER_ENTRY }] = await Promise.all([
    import("@kedge/agent"),
    import("@kedge/controller"),
    import("@kedge/model-server"),
  ]);
  const inbox = new Inbox();
  const view = new LocalView(request.output);
  const { baseDir, runtimes } = request;
  const logger = createLogger({ name: "kedge", level: "error" });
  const node = await agent.LocalNode.open({
    ...{
      baseDir,
      clock,
      logger,
      modelServerEntry: MODEL_SERVER_ENTRY,
      ...(runtimes === undefined ? {} : { runtimes }),
    },
    onEvent: (event) => inbox.put((run) => run.take(event)),
    onLog: (chunk) => view.log(chunk),
  });
  const run = new controller.LocalRun({ ...request, id: newId(clock), nodeId: node.nodeId, clock });
  try {
    await carryOut({ request, run, node, inbox, view });
  } finally {
    await node.close();
  }
  view.end(run.run);
  return run.run;
}

interface Parts {
  readonly request: LocalRunRequest;
  readonly run: LocalRun;
  readonly node: LocalNode;
  readonly inbox: Inbox;
  readonly view: LocalView;
}

async function carryOut({ request, run, node, inbox, view }: Parts): Promise<void> {
  const { approve, secrets, signal, output } = request;
  const over = new AbortController();
  const onAbort = (): void => {
    output.progress("interrupted: ending what runs, post steps included; once more leaves at once");
    inbox.put((it) => it.cancel("interrupted"));
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for (;;) {
      const work = run.advance();
      for (const { offer, secrets: names } of work.start) {
        view.begin(offer.ref?.job ?? "");
        node.start(offer, new Map([...secrets].filter(([name]) => names.includes(name))));
      }
      for (const taskId of work.end) node.cancel(taskId);
      for (const job of work.ask) void ask({ job, approve, inbox, signal: over.signal });
      view.changed(run.run);
      if (run.hasEnded) return;
      for (const change of await inbox.next(run.nextDeadlineMs)) change(run);
    }
  } finally {
    over.abort();
    signal.removeEventListener("abort", onAbort);
  }
}

interface Question extends Pick<LocalRunRequest, "approve"> {
  readonly job: Job;
  readonly inbox: Inbox;
  readonly signal: AbortSignal;
}

/** A question that could not be asked is answered with no. */
async function ask({ job, approve, inbox, signal }: Question): Promise<void> {
  const name = job.spec?.name ?? "";
  const work = job.spec?.work;
  const message = work?.case === "approval" ? work.value.message : "";
  const approved = await approve(name, message, signal).catch(() => false);
  inbox.put((run) => run.decide(name, approved));
}

/** What happens beside the loop, until the loop has time for it. */
class Inbox {
  #changes: ((run: LocalRun) => void)[] = [];
  #wake: () => void = () => {};

  put(change: (run: LocalRun) => void): void {
    this.#changes.push(change);
    this.#wake();
  }

  /** All that happened since; waits for something, or for the deadline. */
  async next(deadlineMs: number | undefined): Promise<((run: LocalRun) => void)[]> {
    if (this.#changes.length === 0) {
      const waiting = new AbortController();
      this.#wake = () => waiting.abort();
      const restMs = deadlineMs === undefined ? LONGEST_WAIT_MS : Math.max(0, deadlineMs - clock.now());
      await clock.sleep(Math.min(restMs, LONGEST_WAIT_MS), waiting.signal).catch(() => {}); // Woken.
    }
    return this.#changes.splice(0);
  }
}

const LONGEST_WAIT_MS = 60_000;

/** What is printed of a run: with --json its log chunks and its end, one a line; else its jobs' logs, folded. */
class LocalView {
  readonly #output: Output;
  readonly #folded: FoldedLog;
  readonly #ended = new Set<string>();

  constructor(output: Output) {
    this.#output = output;
    this.#folded = new FoldedLog(output);
  }

  begin(job: string): void {
    this.#ended.delete(job);
    if (!this.#output.json) this.#folded.begin(job);
  }

  log(chunk: LogChunk): void {
    const job = chunk.ref?.job ?? "";
    if (!this.#output.json) this.#folded.add(job, chunk);
    else this.#output.item(StreamLogsResponseSchema, create(StreamLogsResponseSchema, { job, chunk }), () => []);
  }

  changed(run: Run): void {
    for (const job of run.jobs) {
      const name = job.spec?.name ?? "";
      if (!isJobEnded(job.state) || this.#ended.has(name)) continue;
      this.#ended.add(name);
      if (!this.#output.json) this.#folded.end(name, footer(job));
    }
  }

  end(run: Run): void {
    const view = (): ReturnType<typeof runView> => ["", ...runView(run)];
    this.#output.item(GetRunResponseSchema, create(GetRunResponseSchema, { run }), view);
  }
}

function footer({ spec, state, reason, startedAt, finishedAt }: Job): string {
  const took = startedAt && finishedAt ? ` in ${formatSpan(timestampMs(finishedAt) - timestampMs(startedAt))}` : "";
  const why = reason === "" ? "" : `: ${reason}`;
  return safeText(`job ${spec?.name ?? ""} ${enumName(JobState, state)}${took}${why}`);
}
