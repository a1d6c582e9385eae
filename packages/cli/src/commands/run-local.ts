import { createHash } from "node:crypto";
import { availableParallelism, homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { create } from "@bufbuild/protobuf";
import type { RuntimeName } from "@kedge/agent";
import { KedgeError } from "@kedge/domain";
import { compilePipeline, parseComponent } from "@kedge/pipeline";
import { type JobSpec, ParameterType, type PipelineSpec, type Source, SourceEvent, SourceSchema } from "@kedge/proto";
import { type Command, Option } from "commander";
import { failOnErrors } from "../fail-on-errors.ts";
import { findSecrets } from "../local/local-secrets.ts";
import { runLocally } from "../local/run-locally.ts";
import { snapshotWorkingTree } from "../local/working-tree.ts";
import { runSource } from "../local-source.ts";
import { keyValue, positiveInteger, readInput, repeated } from "../options.ts";
import type { Output } from "../output/output.ts";
import { ExitRequest } from "../print-error.ts";
import { requireSuccess } from "../run-progress.ts";
import { createOutput, type Host } from "../session.ts";

interface LocalOptions {
  readonly local?: boolean;
  readonly json?: boolean;
  readonly param?: Readonly<Record<string, string>>;
  readonly job?: string;
  readonly secretFile?: string;
  readonly component?: readonly string[];
  readonly yes?: boolean;
  readonly jobs?: number;
  readonly runtime?: RuntimeName;
  readonly repo?: string;
  readonly commit?: string;
  readonly ref?: string;
}

const EXAMPLES = `
Examples:
  kedge run --local                          # kedge.yaml of this folder, its files as they are now
  kedge run --local ci.yaml -p level=2       # another file, with a parameter
  kedge run --local --job test               # one job and what it needs
  kedge run --local --secret-file .env --yes # secrets from a file, approvals given`;

/** Lets `kedge run --local [file]` run a pipeline on this machine. */
export function addLocalRun(run: Command, host: Host): void {
  run
    .argument("[file]", "with --local: pipeline file; default: kedge.yaml")
    .option("--local", "run a pipeline file on this machine, without a controller; exit 3 unless it succeeds")
    .option("-p, --param <key=value>", "parameter; may be repeated", keyValue)
    .option("--job <name>", "only this job, or all of this matrix, and what it needs")
    .option("--secret-file <path>", "values of secrets, NAME=VALUE a line; else KEDGE_SECRET_<NAME>")
    .option("--component <path>", "file of a component that the pipeline uses; may be repeated", repeated)
    .option("--yes", "give all approvals")
    .option("--jobs <count>", "jobs that run at once; default: the machine's processors", positiveInteger)
    .addOption(new Option("--runtime <name>", "run steps only as these").choices(["process", "docker"]))
    .option("--repo <url>", "what checkout gets; default: the files around the pipeline file, uncommitted ones too")
    .option("--commit <id>", "full commit id; with --repo")
    .option("--ref <name>", "branch or tag; with --repo")
    .addOption(new Option("--json", "print JSON").hideHelp())
    .addHelpText("after", EXAMPLES)
    .action(async (file: string | undefined) => {
      const options = run.optsWithGlobals<LocalOptions>();
      if (options.local !== true) refuse(run, file);
      await runLocal(host, file ?? "kedge.yaml", options);
    });
}

/** What the command group without a command of its own does: say what there is. */
function refuse(run: Command, word: string | undefined): never {
  if (word === undefined) return run.help({ error: true });
  return run.error(`error: unknown command '${word}'; a pipeline file is run with --local`, { exitCode: 2 });
}

async function runLocal(host: Host, file: string, options: LocalOptions): Promise<void> {
  const output = createOutput(host, options.json === true);
  const given = options.param ?? {};
  const components = await readComponents(options.component ?? [], output);
  const compiled = compilePipeline(await readInput(file), { parameters: given, file, components });
  failOnErrors(output, compiled.diagnostics);
  if (compiled.spec === undefined) throw new KedgeError("INVALID_PIPELINE", `${file} cannot be run`);
  const spec = options.job === undefined ? compiled.spec : onlyJob(compiled.spec, options.job);
  const approve = approver(spec, host, options);
  const secretParameters = new Set(
    spec.parameters.filter(({ type }) => type === ParameterType.SECRET).map(({ name }) => name),
  );
  const run = await runLocally({
    spec,
    parameters: Object.fromEntries(Object.entries(given).filter(([name]) => !secretParameters.has(name))),
    source: await sourceOf(file, options, output),
    secrets: await secretsOf(spec, { file: options.secretFile, env: host.env, parameters: given }),
    maxJobs: options.jobs ?? availableParallelism(),
    runtimes: options.runtime === undefined ? undefined : [options.runtime],
    baseDir: join(host.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "kedge", "local"),
    ...{ approve, output, signal: host.signal() },
  });
  if (host.signal().aborted) throw new ExitRequest("interrupted");
  requireSuccess(run);
}

/** Sources by "<name>@sha256:<digest>", as pipelines name components. */
async function readComponents(paths: readonly string[], output: Output): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const path of paths) {
    const source = await readInput(path);
    const { component, diagnostics } = parseComponent(source);
    failOnErrors(output, diagnostics);
    found.set(`${component?.name}@sha256:${createHash("sha256").update(source).digest("hex")}`, source);
  }
  return found;
}

/** A job, or all of a matrix, and everything before it. */
function onlyJob(spec: PipelineSpec, name: string): PipelineSpec {
  const byName = new Map(spec.jobs.map((job) => [job.name, job]));
  const wanted = new Set<JobSpec>();
  const open = spec.jobs.filter((job) => job.name === name || job.matrixJob === name);
  if (open.length === 0) {
    const hint = `There are ${spec.jobs
      .map((job) => job.name)
      .toSorted()
      .join(", ")}.`;
    throw new KedgeError("JOB_NOT_FOUND", `${spec.name} has no job ${name}`, { field: "--job", hint });
  }
  for (let job = open.pop(); job !== undefined; job = open.pop()) {
    if (wanted.has(job)) continue;
    wanted.add(job);
    open.push(...job.needs.flatMap((need) => byName.get(need) ?? []));
  }
  return { ...spec, jobs: spec.jobs.filter((job) => wanted.has(job)) };
}

async function secretsOf(spec: PipelineSpec, sources: Parameters<typeof findSecrets>[1]) {
  const { secretNames } = await import("@kedge/controller");
  return findSecrets([...new Set(spec.jobs.flatMap(secretNames))], sources);
}

async function sourceOf(file: string, options: LocalOptions, output: Output): Promise<Source | undefined> {
  if (options.repo !== undefined) {
    return create(SourceSchema, { ...(await runSource(options)), event: SourceEvent.MANUAL });
  }
  const tree = await snapshotWorkingTree(file === "-" ? process.cwd() : dirname(resolve(file)));
  if (tree === undefined) return undefined;
  const { repository, commit, branch, isDirty } = tree;
  output.progress(`source: ${repository}${isDirty ? " with what is not committed" : ` at ${commit.slice(0, 12)}`}`);
  return create(SourceSchema, { repository, commit, branch, ref: branch, event: SourceEvent.MANUAL });
}

type Approve = (job: string, message: string, signal: AbortSignal) => Promise<boolean>;

function approver(spec: PipelineSpec, host: Host, { yes }: LocalOptions): Approve {
  if (yes === true) return () => Promise.resolve(true);
  const { ask } = host;
  const asks = spec.jobs.find(({ work }) => work.case === "approval");
  if (ask === undefined && asks !== undefined) {
    const hint = "Give --yes, or run it in a terminal.";
    throw new KedgeError("INVALID_OPTION", `job ${asks.name} asks for an approval`, { field: "--yes", hint });
  }
  return async (job, message, signal) => {
    const answer = await ask?.(`approve ${job}${message === "" ? "" : `: ${message}`} [y/N] `, signal);
    return /^\s*y(es)?\s*$/i.test(answer ?? "");
  };
}
