import type { ImportError } from "../import-report.ts";
import { parseGroovy } from "./groovy/parse.ts";
import { GroovySyntaxError } from "./groovy/tokens.ts";
import type { Pipeline } from "./model/model.ts";
import { readPipeline } from "./model/pipeline.ts";
import { Places, Problems } from "./model/problems.ts";
import { type Json, pipelineJson } from "./model/to-json.ts";

/** Longest file that is read, in UTF-16 code units. */
export const MAX_SOURCE = 1024 * 1024;

/** A declarative pipeline, absent when there are errors. */
export interface ReadJenkinsfile {
  readonly pipeline?: Pipeline;
  /** Where Groovy stands beside the pipeline: imports, definitions, scripted parts. */
  readonly outside?: readonly number[];
  readonly errors: readonly ImportError[];
  readonly places: Places;
}

/** Reads a declarative Jenkinsfile as Jenkins' own validator does. Never throws. */
export function readJenkinsfile(source: string): ReadJenkinsfile {
  if (source.length > MAX_SOURCE) {
    const message = `the file is too long: at most ${MAX_SOURCE} characters are read`;
    return { places: new Places(""), errors: [{ line: 1, column: 1, message }] };
  }
  const places = new Places(source);
  try {
    return { places, ...readModel(source, places) };
  } catch (error) {
    if (!(error instanceof GroovySyntaxError)) throw error;
    return { places, errors: [{ ...places.of(error.offset), message: error.message }] };
  }
}

function readModel(source: string, places: Places): Omit<ReadJenkinsfile, "places"> {
  const problems = new Problems(places);
  const script = parseGroovy(source);
  const pipeline = readPipeline(script, { source, problems });
  if (pipeline === undefined && !problems.any) problems.add(NO_PIPELINE, 0);
  if (pipeline === undefined || problems.any) return { errors: problems.list() };
  const beside = script.statements.filter(({ start, end }) => pipeline.at < start || pipeline.at >= end);
  return { pipeline, outside: beside.map(({ start }) => start), errors: [] };
}

const NO_PIPELINE =
  "Did not find a top-level pipeline { } block; scripted pipelines are programs and cannot be imported";

/**
 * The syntax tree of a declarative Jenkinsfile, in the JSON form of Jenkins' own converter, `{ "pipeline": ... }`;
 * absent when there are errors. Never throws.
 */
export function parseJenkinsfile(source: string): { readonly ast?: Json; readonly errors: readonly ImportError[] } {
  const { pipeline, errors } = readJenkinsfile(source);
  return pipeline === undefined ? { errors } : { ast: pipelineJson(pipeline), errors };
}
