import { importGithubWorkflow } from "./github/import-github.ts";
import { importGitlabFile } from "./gitlab/import-gitlab.ts";
import type { ImportResult } from "./import-report.ts";
import { importJenkinsfile } from "./jenkins/import-jenkinsfile.ts";
import { importTravisFile } from "./travis/import-travis.ts";

/** Systems whose files can be imported. */
export const IMPORT_KINDS = ["jenkins", "github", "gitlab", "travis"] as const;

/** One of IMPORT_KINDS. */
export type ImportKind = (typeof IMPORT_KINDS)[number];

const IMPORTERS: Readonly<Record<ImportKind, (source: string) => ImportResult>> = {
  jenkins: importJenkinsfile,
  github: importGithubWorkflow,
  gitlab: importGitlabFile,
  travis: importTravisFile,
};

/** What a file is, by its path and its text; undefined when neither tells. */
export function importKindOf(path: string, source: string): ImportKind | undefined {
  if (/(?:^|\/)[^/]*Jenkinsfile[^/]*$|\.(?:groovy|jenkinsfile)$/i.test(path)) return "jenkins";
  if (/(?:^|\/)\.github\/workflows\/[^/]+\.ya?ml$/.test(path)) return "github";
  if (/\.gitlab-ci\.ya?ml$/.test(path)) return "gitlab";
  if (/\.travis\.ya?ml$/.test(path)) return "travis";
  if (/^\s*pipeline\s*\{/m.test(source)) return "jenkins";
  return /^(?:on|["']on["']|true):/m.test(source) && /^jobs:/m.test(source) ? "github" : undefined;
}

/** A file of another system as a pipeline, with a report. Never throws. */
export function importFile(source: string, kind: ImportKind): ImportResult {
  return IMPORTERS[kind](source);
}
