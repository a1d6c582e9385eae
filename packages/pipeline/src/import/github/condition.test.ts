import { describe, expect, it } from "vitest";
import { compilePipeline } from "../../pipeline-compile.ts";
import { translateIf } from "./condition.ts";
import { importGithubWorkflow } from "./import-github.ts";

const MAIN = { branch: ["main"] };
const NONE = new Map<string, string>();

describe("an if", () => {
  it.each([
    ["always()", { runIf: "always" }],
    ["failure()", { runIf: "failure" }],
    ["!failure() && !cancelled()", {}],
    ["!success()", { runIf: "failure" }],
    ["success() || failure()", { runIf: "always" }],
    ["always() && failure()", { runIf: "failure" }],
    ["failure() && github.ref == 'refs/heads/main'", { runIf: "failure", when: MAIN }],
    ["${" + "{ github.ref == 'refs/heads/main' }}", { when: MAIN }],
  ])("%s is kept", (source, expected) => {
    expect(translateIf(source, NONE)).toEqual(expected);
  });

  it.each([
    "failure() || github.ref == 'refs/heads/main'",
    "cancelled()",
    "!always()",
    "github.event.label.name == 'x'",
    "fromJSON(x).y",
    "a ==",
  ])("%s is a problem, and nothing of it is kept", (source) => {
    expect(translateIf(source, NONE)).toEqual({ problem: expect.any(String) });
  });
});

/** Scripts of a workflow's one job. */
function scripts(lines: readonly string[]): string[] {
  const { source, errors } = importGithubWorkflow(["on: push", "jobs:", "  a:", "    runs-on: x", ...lines].join("\n"));
  expect(errors).toEqual([]);
  const work = compilePipeline(source ?? "").spec?.jobs[0]?.work;
  const steps = work?.case === "steps" ? work.value.steps : [];
  return steps.map(({ action }) => (action.case === "run" ? action.value.script : String(action.case)));
}

describe("what cannot be kept to its condition", () => {
  it.each([
    ["a job", ["    if: github.event.label.name == 'x'", "    steps: [{ run: deploy }]"]],
    ["a script", ["    steps: [{ run: deploy, if: \"github.event.label.name == 'x'\" }]"]],
    ["a script with a lost expression", ["    steps: [{ run: 'deploy ${" + "{ steps.v.outputs.env }}' }]"]],
    [
      "an action that acts",
      ["    steps: [{ uses: docker/build-push-action@v6, if: \"github.event_name != 'pull_request'\" }]"],
    ],
  ])("fails before it does anything: %s", (_, lines) => {
    expect(scripts(lines)[0]).toMatch(/^echo 'to be ported: .*' >&2\nexit 1$/);
  });
});
