import { expect } from "vitest";
import { importJenkinsfile } from "../import/jenkins/import-jenkinsfile.ts";
import { compilePipeline } from "../pipeline-compile.ts";
import { show } from "./diagnostics.ts";

/** The compiled jobs by name, what is in them, and the notes that are not exact. */
export function imported(source: string, parameters: Readonly<Record<string, string>> = {}) {
  const { source: text, notes, errors } = importJenkinsfile(source, "demo");
  expect(errors).toEqual([]);
  if (text === undefined) throw new Error("no pipeline");
  const { spec, diagnostics } = compilePipeline(text, { parameters });
  expect(show(diagnostics.filter((it) => !show([it])[0]?.includes("warning")))).toEqual([]);
  if (spec === undefined) throw new Error("no spec");
  const inexact = notes
    .filter((it) => it.fidelity !== "exact")
    .map((it) => `${it.line} ${it.fidelity} ${it.construct}`);
  return { text, notes, spec, jobs: new Map(spec.jobs.map((job) => [job.name, job])), inexact };
}

/** The steps of a job: scripts, or what else they are. */
export function scripts(job: ReturnType<typeof imported>["spec"]["jobs"][number] | undefined): string[] {
  const steps = job?.work.case === "steps" ? job.work.value.steps : [];
  return steps.map(({ action }) =>
    action.case === "run" ? action.value.script || action.value.command.join(" ") : (action.case ?? ""),
  );
}

/** A stage with sections. */
export const stage = (name: string, body: string): string => `stage('${name}') {\n${body}\n}`;
/** A pipeline with stages. */
export const pipeline = (stages: string, sections = "agent any"): string =>
  `pipeline {\n${sections}\nstages {\n${stages}\n}\n}\n`;
/** A pipeline of one stage with steps. */
export const one = (steps: string, sections?: string): string =>
  pipeline(stage("one", `steps {\n${steps}\n}`), sections);
