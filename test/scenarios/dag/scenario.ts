import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";

/** What a job must have come to; a text is its state alone. */
export interface ExpectedJob {
  readonly state: string;
  /** Regular expression. */
  readonly reason?: string;
  /** Class of its failure. */
  readonly failure?: string;
  readonly "exit-code"?: number;
  /** States of the tasks that were made, in order. */
  readonly attempts?: readonly string[];
  /** States of the steps that ran, by name; others must not have run. */
  readonly steps?: Readonly<Record<string, string>>;
  readonly outputs?: Readonly<Record<string, string>>;
  /** Jobs that had ended when it became ready. */
  readonly after?: readonly string[];
}

/** What is done once, "<job or run> <state>" joined by " and ", is so: cancel, approve <job>, reject
 * <job>, approve-run, kill <node>. */
export interface Action {
  readonly once: string;
  readonly do: string;
}

/** What `expected.yaml` says. */
export interface Expectation {
  /** Only where it is there. */
  readonly needs?: "docker";
  /** Files of the folder whose pipelines are applied before. */
  readonly applies?: readonly string[];
  readonly source?: Readonly<Record<string, string | boolean>>;
  readonly actions?: readonly Action[];
  /** The run's state; absent: the file is refused. */
  readonly run?: string;
  /** Regular expression. */
  readonly reason?: string;
  /** Regular expression on what is wrong with the file. */
  readonly refused?: string;
  readonly jobs?: Readonly<Record<string, string | ExpectedJob>>;
  /** Files that the jobs have left in the folder that the parameter `dir` names. */
  readonly files?: readonly string[];
}

/** A folder with a pipeline and what must become of it. */
export interface Scenario {
  readonly name: string;
  readonly source: string;
  /** Texts of the pipelines that are applied before. */
  readonly applied: readonly string[];
  readonly expected: Expectation;
}

/** Every scenario of a folder, by name. */
export async function readScenarios(folder: string): Promise<Scenario[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return Promise.all(names.toSorted().map((name) => readScenario(folder, name)));
}

async function readScenario(folder: string, name: string): Promise<Scenario> {
  const source = await readFile(join(folder, name, "kedge.yaml"), "utf8");
  const expected: Expectation = parse(await readFile(join(folder, name, "expected.yaml"), "utf8"));
  const applied = (expected.applies ?? []).map((file) => readFile(join(folder, name, file), "utf8"));
  return { name, source, applied: await Promise.all(applied), expected };
}
