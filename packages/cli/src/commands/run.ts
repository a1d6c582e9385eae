import { KedgeError } from "@kedge/domain";
import { newId, systemClock } from "@kedge/kernel";
import { compilePipeline, lintPipeline, usedComponents } from "@kedge/pipeline";
import {
  CancelRunResponseSchema,
  GetRunResponseSchema,
  RetryRunResponseSchema,
  type Run,
  SubmitRunResponseSchema,
} from "@kedge/proto";
import { failOnErrors } from "../fail-on-errors.ts";
import { LISTINGS } from "../listings.ts";
import { runSource } from "../local-source.ts";
import { argument, keyValue, positiveInteger, readInput } from "../options.ts";
import type { View } from "../output/output.ts";
import { runView } from "../output/views.ts";
import { printLogs } from "../print-logs.ts";
import { requireSuccess, watchRun } from "../run-progress.ts";
import { addRemote, type CommandGroup, type Session } from "../session.ts";
import { addDecisions } from "./approvals.ts";
import { addLocalRun } from "./run-local.ts";

interface SubmitOptions {
  readonly file?: string;
  readonly param?: Record<string, string>;
  readonly paramFile?: Record<string, string>;
  readonly label?: Record<string, string>;
  readonly repo?: string;
  readonly commit?: string;
  readonly ref?: string;
  readonly wait?: boolean;
  readonly follow?: boolean;
}

const shown = ({ run }: { readonly run?: Run | undefined }): View => (run === undefined ? [] : runView(run));

/** `kedge run ...` */
export const runCommands: CommandGroup = (program, host) => {
  const run = program.command("run").description("runs of pipelines");
  addLocalRun(run, host);
  addRemote<SubmitOptions>(run, host, {
    usage: "submit [pipeline]",
    description: "start a run of a pipeline file, or of an applied pipeline by name",
    options: (command) =>
      command
        .option("-f, --file <path>", "pipeline file; - is standard input")
        .option("-p, --param <key=value>", "parameter; may be repeated", keyValue)
        .option("--param-file <key=path>", "parameter's value from a file, for secrets; - is standard input", keyValue)
        .option("--label <key=value>", "label of the run; may be repeated", keyValue)
        .option("--repo <url>", "repository that git can clone; a folder's commit is looked up")
        .option("--commit <id>", "full commit id; default for a folder: what --ref, or else HEAD, stands at")
        .option("--ref <name>", "branch or tag")
        .option("--wait", "wait for the end; exit 3 unless the run succeeds")
        .option("--follow", "like --wait, and print the logs"),
    run: submit,
  });
  addRemote<{ limit?: number; pipeline?: string }>(run, host, {
    usage: "list",
    description: "list runs, newest first",
    options: (command) =>
      command.option("--limit <count>", "most runs", positiveInteger).option("--pipeline <name>", "of this pipeline"),
    run: (session, _args, options) => LISTINGS.runs(session, options),
  });
  addRemote(run, host, {
    usage: "get <run>",
    description: "show a run and its jobs",
    run: async ({ client, output }, args) =>
      output.show(GetRunResponseSchema, await client.runs.getRun({ runId: argument(args, 0) }), shown),
  });
  addRemote(run, host, {
    usage: "watch <run>",
    description: "print a run's changes until it ends; exit 3 unless it succeeds",
    run: async (session, args) => requireSuccess(await watchRun(session, argument(args, 0), "items")),
  });
  addRemote<{ reason?: string }>(run, host, {
    usage: "cancel <run>",
    description: "stop a run",
    options: (command) => command.option("--reason <text>", "why"),
    run: async ({ client, output }, args, { reason = "" }) => {
      const response = await client.runs.cancelRun({ runId: argument(args, 0), reason });
      output.show(CancelRunResponseSchema, response, shown);
    },
  });
  addRemote<{ from?: string[]; failed?: boolean }>(run, host, {
    usage: "retry <run> [jobs...]",
    description: "try jobs again in the same run, default: all that did not succeed; --from makes a new run",
    options: (command) =>
      command
        .option("--from <job...>", "make a new run: these jobs and all after them; the others keep what they came to")
        .option("--failed", "all that did not succeed, as without jobs"),
    run: async ({ client, output }, args, { from = [], failed = false }) => {
      const jobs = args.slice(1);
      if (failed && (jobs.length > 0 || from.length > 0)) {
        throw new KedgeError("INVALID_FIELD", "--failed is all jobs that did not succeed", {
          field: "--failed",
          hint: "leave out the names of jobs and --from",
        });
      }
      const response = await client.runs.retryRun({ runId: argument(args, 0), jobs, from });
      output.show(RetryRunResponseSchema, response, shown);
    },
  });
  addDecisions(run, host);
};

/** Parameters that files hold, each without the line end at its end. */
async function valuesOfFiles(paths: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const [name, path] of Object.entries(paths)) values[name] = (await readInput(path)).replace(/\r?\n$/, "");
  return values;
}

async function submit(session: Session, args: readonly string[], options: SubmitOptions): Promise<void> {
  const { client, output } = session;
  const pipeline = await pipelineOf(args[0], options.file);
  const parameters = { ...options.param, ...(await valuesOfFiles(options.paramFile ?? {})) };
  // Here the file has a name, so that what is wrong with it can be found; the controller knows its text only.
  const isFile = pipeline.case === "pipelineSource";
  if (isFile) failOnErrors(output, diagnosticsOf(pipeline.value, { parameters, file: options.file ?? "" }));
  const response = await client.runs.submitRun({
    pipeline,
    parameters,
    labels: options.label ?? {},
    source: await runSource(options),
    idempotencyKey: newId(systemClock),
  });
  const waits = options.wait === true || options.follow === true;
  if (!waits || response.run === undefined) return output.show(SubmitRunResponseSchema, response, shown);
  const runId = response.run.id;
  output.progress(`run ${runId} submitted`);
  if (options.follow) await printLogs(session, { runId, follow: true });
  const run = await watchRun(session, runId, "progress");
  if (!options.follow) output.show(GetRunResponseSchema, await client.runs.getRun({ runId }), shown);
  requireSuccess(run);
}

/** What is wrong with a file; components are known to the controller alone, which compiles it again. */
function diagnosticsOf(
  source: string,
  options: { readonly parameters: Record<string, string>; readonly file: string },
) {
  if (usedComponents(source).length > 0) return lintPipeline(source, options.file);
  return compilePipeline(source, options).diagnostics;
}

async function pipelineOf(name: string | undefined, file: string | undefined) {
  if ((name === undefined) === (file === undefined)) {
    throw new KedgeError("INVALID_OPTION", "give either a pipeline file with -f or the name of an applied pipeline");
  }
  if (file !== undefined) return { case: "pipelineSource" as const, value: await readInput(file) };
  return { case: "pipelineName" as const, value: name ?? "" };
}
