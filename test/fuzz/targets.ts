import {
  compilePipeline,
  type ImportKind,
  importFile,
  lintPipeline,
  parseAlertPolicy,
  parseDeployment,
  parseJenkinsfile,
  parseSchedulingPolicy,
} from "@kedge/pipeline";
import { parseFlag } from "@kedge/pipeline/flags";
import { parseRepository } from "@kedge/pipeline/forge";
import { type Diagnostic, Diagnostic_Severity } from "@kedge/proto";
import { maskingTarget } from "./masking.ts";
import { GITHUB, GITLAB, JENKINSFILE, OTHER_FILES, PIPELINES, TRAVIS } from "./seeds.ts";
import { webhookTarget } from "./webhooks.ts";

/** Something that reads what anybody may have written. */
export interface FuzzTarget {
  readonly name: string;
  /** Texts that it takes; inputs are made from them. */
  readonly seeds: readonly [string, ...string[]];
  /** Where in a text a hostile one is put: it grows there. */
  readonly holes: readonly ((text: string) => string)[];
  /** Reads a text and checks what came of it. @throws Error when it is not as it must be. */
  readonly read: (text: string) => void;
}

const PIPELINE_HOLES = [
  (text: string) => text,
  (text: string) =>
    `name: p\njobs:\n  a:\n    steps:\n      - run: |\n          ${text.replaceAll("\n", "\n          ")}\n`,
  (text: string) => `name: p\njobs: { a: { steps: [{ run: ${JSON.stringify(text)} }] } }\n`,
  (text: string) =>
    `name: p\njobs: { a: { when: { branch: ${JSON.stringify(text)} }, image: ${JSON.stringify(text)} } }\n`,
  (text: string) => `name: p\njobs: { a: { needs: ${text}`,
];

const jenkinsHoles = [
  (text: string) => text,
  (text: string) => `pipeline { agent any; stages { stage('a') { steps { ${text}`,
  (text: string) => `pipeline { agent any; stages { stage('a') { steps { sh "${text}" } } } }`,
  (text: string) =>
    `pipeline { agent any; stages { stage('a') { when { expression { ${text} } } steps { sh 'a' } } } }`,
];
const quoted = (before: string, after: string) => (text: string) => before + JSON.stringify(text) + after;

/** Everything that is fuzzed. */
export const TARGETS: readonly FuzzTarget[] = [
  { name: "pipeline files", seeds: PIPELINES, holes: PIPELINE_HOLES, read: readPipeline },
  { name: "other files", seeds: OTHER_FILES, holes: [(text) => text, (text) => `flag: ${text}`], read: readOthers },
  { name: "Jenkinsfiles", seeds: [JENKINSFILE], holes: jenkinsHoles, read: readJenkinsfile },
  importer("github", GITHUB, [quoted("on: push\njobs: { a: { runs-on: x, if: ", ", steps: [{ run: a }] } }")]),
  importer("gitlab", GITLAB, [quoted("a: { script: [a], rules: [{ if: ", " }] }"), quoted("a: { script: ", " }")]),
  importer("travis", TRAVIS, [quoted("script: a\nif: ", "\n"), quoted("env: ", "\nscript: a")]),
  webhookTarget,
  maskingTarget,
];

function importer(kind: ImportKind, seed: string, holes: FuzzTarget["holes"]): FuzzTarget {
  return {
    name: `${kind} files`,
    seeds: [seed],
    holes: [(text) => text, ...holes],
    read: (text) => readImport(text, kind),
  };
}

function readPipeline(text: string): void {
  checkDiagnostics(text, lintPipeline(text));
  const { spec, diagnostics } = compilePipeline(text);
  checkDiagnostics(text, diagnostics);
  if ((spec === undefined) !== diagnostics.some(isError)) throw new Error("a spec with errors, or neither");
}

function readOthers(text: string): void {
  for (const parse of [parseFlag, parseDeployment, parseRepository, parseAlertPolicy, parseSchedulingPolicy]) {
    checkDiagnostics(text, parse(text).diagnostics);
  }
}

function readJenkinsfile(text: string): void {
  const { ast, errors } = parseJenkinsfile(text);
  if ((ast === undefined) === (errors.length === 0)) throw new Error("a tree with errors, or neither");
  readImport(text, "jenkins");
}

function readImport(text: string, kind: ImportKind): void {
  const { source, notes, errors } = importFile(text, kind);
  const lines = text.split(/\r\n|[\n\r\u2028\u2029\u0085]/).length;
  const outside = [...notes, ...errors].find(({ line, column }) => line < 1 || column < 1 || line > lines);
  if (outside) throw new Error(`line ${outside.line} of ${lines}: ${outside.message}`);
  if ((source === undefined) !== errors.length > 0) throw new Error("a pipeline with errors, or neither");
  if (source === undefined) return;
  const bad = lintPipeline(source).find(isError);
  if (bad) throw new Error(`what it became has an error at ${bad.line}:${bad.column}: ${bad.message}\n${source}`);
}

function checkDiagnostics(text: string, diagnostics: readonly Diagnostic[]): void {
  const lines = text.split(/\r\n|[\n\r]/).length;
  const outside = diagnostics.find(({ line, column }) => line < 1 || column < 1 || line > lines);
  if (outside) throw new Error(`line ${outside.line} of ${lines}: ${outside.message}`);
}

function isError({ severity }: Diagnostic): boolean {
  return severity === Diagnostic_Severity.ERROR;
}
