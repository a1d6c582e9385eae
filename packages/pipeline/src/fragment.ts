import type { JobSpec } from "@kedge/proto";
import { type Finding, quote } from "./finding.ts";

/** The run that a fragment of a pipeline is for. */
export interface Surroundings {
  readonly pipeline: string;
  readonly jobs: readonly JobSpec[];
}

type Plain = Readonly<Record<string, unknown>>;

/**
 * A pipeline of the jobs of a fragment and stand-ins of those that the run has: what is needed, referred to or taken
 * files from is checked as in one file.
 */
export function wholeOf(
  fragment: unknown,
  around: Surroundings,
): { readonly value: unknown; readonly findings: Finding[] } {
  if (!isPlain(fragment)) return { value: fragment, findings: [] };
  const { jobs, ...others } = fragment;
  const findings = Object.keys(others).map(
    (key): Finding => ({ path: [key], atKey: true, message: `only jobs can be added, not ${quote(key)}` }),
  );
  const own = isPlain(jobs) ? jobs : {};
  findings.push(...clashes(own, around.jobs));
  const whole: Record<string, unknown> = Object.create(null);
  for (const spec of around.jobs) whole[spec.name] = standIn(spec);
  for (const [name, body] of Object.entries(own)) whole[name] ??= body;
  // What is no table of jobs, or an empty one, is told like in a pipeline file.
  const isUsable = isPlain(jobs) && Object.keys(jobs).length > 0;
  return { value: { name: around.pipeline, jobs: isUsable ? whole : (jobs ?? {}) }, findings };
}

/** Names that the run has used: of jobs, matrices and gangs, whose members start together. */
function clashes(own: Plain, jobs: readonly JobSpec[]): Finding[] {
  const names = new Set(jobs.flatMap(({ name, matrixJob }) => [name, matrixJob]));
  const gangs = new Set(jobs.map(({ gang }) => gang));
  return Object.entries(own).flatMap(([name, body]): Finding[] => {
    const gang = isPlain(body) ? body["gang"] : undefined;
    if (names.has(name)) {
      return [{ path: ["jobs", name], atKey: true, message: `the run has a job called ${quote(name)} already` }];
    }
    if (typeof gang !== "string" || !gangs.has(gang)) return [];
    return [{ path: ["jobs", name, "gang"], message: `the run has a gang called ${quote(gang)} already` }];
  });
}

function standIn({ needs, artifacts }: JobSpec): Plain {
  const files = artifacts.map(({ name, paths }) => ({ name, paths }));
  return { needs: [...needs], steps: [{ run: "true" }], ...(files.length === 0 ? {} : { artifacts: files }) };
}

function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
