import { asPlain, isPlain, textOf } from "../draft.ts";

/** Predefined variables that there is something for, as text with expressions. */
const PREDEFINED: Readonly<Record<string, string>> = {
  CI: "true",
  GITLAB_CI: "true",
  CI_COMMIT_SHA: "run.commit",
  CI_COMMIT_REF_NAME: "run.ref",
  CI_COMMIT_BRANCH: "run.branch",
  CI_COMMIT_TAG: "run.tag",
  CI_PIPELINE_ID: "run.id",
  CI_PIPELINE_SOURCE: "run.event",
  CI_MERGE_REQUEST_IID: "run.pull_request",
  CI_MERGE_REQUEST_SOURCE_BRANCH_NAME: "run.branch",
  CI_MERGE_REQUEST_TARGET_BRANCH_NAME: "run.base_branch",
  GITLAB_USER_LOGIN: "run.sender",
  CI_PROJECT_NAME: "run.pipeline",
};

/** Variables of the shell that this file asks for and that can be given, `CI` always. */
export function predefinedVariables(source: string): Record<string, string> {
  const asked = Object.entries(PREDEFINED).filter(
    ([name]) => name === "CI" || new RegExp(`\\b${name}\\b`).test(source),
  );
  return Object.fromEntries(asked.map(([name, value]) => [name, value.includes(".") ? `\${{ ${value} }}` : value]));
}

/** The field of a run behind a predefined variable; undefined when there is none. */
export function runFieldOf(variable: string): string | undefined {
  const value = Object.hasOwn(PREDEFINED, variable) ? PREDEFINED[variable] : undefined;
  return value?.includes(".") ? `\${{ ${value} }}` : undefined;
}

/** Text in which `$NAME` and `${NAME}` of known variables are what they stand for. */
export function expandVariables(
  text: string,
  known: ReadonlyMap<string, string>,
): { readonly text: string; readonly unknown: string[] } {
  const unknown: string[] = [];
  const expanded = text.replaceAll(
    /\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g,
    (whole, braced?: string, plain?: string) => {
      const name = braced ?? plain ?? "";
      const value = known.get(name) ?? runFieldOf(name);
      if (value === undefined) unknown.push(name);
      return value ?? whole;
    },
  );
  return { text: expanded, unknown };
}

/** Variables that a file declares, as far as they can be a job's here. */
export function variablesOf(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(asPlain(value)).flatMap(([name, item]): [string, string][] => {
      if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name) || name.startsWith("KEDGE_")) return [];
      return [[name, textOf(isPlain(item) ? (item["value"] ?? "") : (item ?? ""))]];
    }),
  );
}
