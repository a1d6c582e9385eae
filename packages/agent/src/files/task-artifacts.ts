import { type Artifact, type ArtifactSpec, ReportKind } from "@kedge/proto";
import { MAX_TROUBLES, type ReportFigures, type ReportFile } from "../reports/report.ts";
import { StepFailure, toStepFailure } from "../steps/step-failure.ts";
import { type JobStatus, runsOn } from "../tasks/job-plan.ts";
import { type FoundFiles, findFiles, openInside } from "./find-files.ts";
import { formatBytes } from "./format-bytes.ts";
import { PackedTree } from "./packed-tree.ts";
import type { FilesContext } from "./task-files.ts";

const STEP = "artifacts";
const MAX_REPORT_BYTES = 64 * 1024 ** 2;
const MAX_REPORT_FILES = 10_000;

/** What the job left. */
export interface KeptArtifacts {
  readonly artifacts: readonly Artifact[];
  /** What its reports say. */
  readonly metrics: Readonly<Record<string, number>>;
  /** What is wrong by its reports, one line each. */
  readonly troubles: readonly string[];
  /** The first thing that went wrong with keeping them. */
  readonly failure: StepFailure | undefined;
}

/** Stores the artifacts that a job leaves when it ended like this. One that cannot be stored does not keep the others from it. */
export async function keepArtifacts(context: FilesContext, status: JobStatus): Promise<KeptArtifacts> {
  const specs = context.record.offer.job?.artifacts.filter(({ on }) => runsOn(on, status)) ?? [];
  const artifacts: Artifact[] = [];
  const figures: ReportFigures[] = [];
  let failure: StepFailure | undefined;
  for (const spec of specs) {
    try {
      const found = await find(context, spec);
      if (found === undefined) continue;
      figures.push(...(await readReports(context, spec, found)));
      artifacts.push(await store(context, spec.name, found));
    } catch (error) {
      context.signal.throwIfAborted();
      const { kind, message } = toStepFailure(error);
      failure ??= new StepFailure(kind, `artifact ${spec.name}: ${message}`, { cause: error });
      await context.log.note(STEP, `artifact ${spec.name}: ${message}`);
    }
  }
  const metrics = Object.assign({}, ...figures.map((it) => it.metrics));
  return { artifacts, metrics, troubles: figures.flatMap(({ troubles }) => troubles), failure };
}

async function find({ record, log, signal }: FilesContext, spec: ArtifactSpec): Promise<FoundFiles | undefined> {
  const found = await findFiles(record.workspace, spec.paths, signal);
  for (const note of found.skipped) await log.note(STEP, `artifact ${spec.name}: ${note}; passed over`);
  if (found.files.length > 0) return found;
  const nothing = `no file fits ${spec.paths.join(", ")}`;
  if (spec.required) throw new StepFailure("INVALID", nothing);
  await log.note(STEP, `artifact ${spec.name}: ${nothing}`);
  return undefined;
}

async function store(context: FilesContext, name: string, { files }: FoundFiles): Promise<Artifact> {
  const { record, log, signal } = context;
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  await log.note(STEP, `artifact ${name}: storing ${files.length} files, ${formatBytes(total)}`);
  const tree = await PackedTree.pack([{ folder: record.workspace, files }], signal);
  const { value, newBytes } = await context.store.putArtifact(name, tree, signal);
  await log.note(STEP, `artifact ${name}: stored as ${value.digest.slice(0, 12)}, ${formatBytes(newBytes)} of it new`);
  return value;
}

async function readReports(
  { record, log }: FilesContext,
  { name, report }: ArtifactSpec,
  { files }: FoundFiles,
): Promise<ReportFigures[]> {
  if (report === ReportKind.UNSPECIFIED) return [];
  const texts: ReportFile[] = [];
  for (const { path, sizeBytes } of files.slice(0, MAX_REPORT_FILES)) {
    if (sizeBytes > MAX_REPORT_BYTES) await log.note(STEP, `artifact ${name}: ${path} is too large to be read`);
    else texts.push({ path, text: await readText(record.workspace, path) });
  }
  // Loaded on demand, as most jobs have no reports.
  const { readReport } = await import("../reports/read-report.ts");
  const { figures, unreadable } = readReport(report, texts);
  for (const problem of unreadable.slice(0, MAX_TROUBLES)) await log.note(STEP, `artifact ${name}: ${problem}`);
  if (figures === undefined) return [];
  await log.note(STEP, `artifact ${name}: ${figures.summary}`);
  for (const trouble of figures.troubles) await log.note(STEP, `  ${trouble}`);
  const more = figures.troubleCount - figures.troubles.length;
  if (more > 0) await log.note(STEP, `  and ${more} more`);
  return [figures];
}

async function readText(workspace: string, path: string): Promise<string> {
  await using handle = await openInside(workspace, path);
  return (await handle.readFile()).toString("utf8");
}
