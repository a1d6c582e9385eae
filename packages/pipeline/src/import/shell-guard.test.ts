import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { shellGuard } from "./shell-guard.ts";

const branch = (name: string): string => `\${{ run.${name} }}`;

/** Whether a shell goes on behind the test, with these fields of a run. */
function passes(when: Parameters<typeof shellGuard>[0], run: Readonly<Record<string, string>>): boolean {
  const { env, test } = shellGuard(when);
  const vars = Object.entries(env).map(([name, text]) => [name, run[/run\.(\w+)/.exec(text)?.[1] ?? ""] ?? ""]);
  const script = `set +u\n${test} || { echo no; exit 0; }\necho yes`;
  return execFileSync("sh", ["-eu", "-c", script], { env: Object.fromEntries(vars), encoding: "utf8" }) === "yes\n";
}

const deploys = { not: { event: ["pull-request"] }, branch: ["prod"] };

it.each([
  [deploys, { event: "push", branch: "prod" }, true],
  [deploys, { event: "pull-request", branch: "prod" }, false],
  [deploys, { event: "push", branch: "other" }, false],
  [{ tag: ["v**"] }, { tag: "v1/2" }, true],
  [{ tag: ["*"] }, { branch: "main" }, false],
  [{ any: [{ branch: ["a"] }, { values: [{ value: branch("branch"), equals: ["it's"] }] }] }, { branch: "it's" }, true],
  [{ all: [{ branch: ["a"] }, { event: ["push"] }] }, { branch: "a", event: "cron" }, false],
  [{ branch: ["a b;exit 3"] }, { branch: "a b;exit 3" }, true],
  [{ branch: ["main"] }, { branch: '"; exit 3; "' }, false],
  [{ values: [{ value: branch("tag"), "at-least": 3 }] }, { tag: "2" }, false],
])("the shell decides as the condition does: %j for %j", (when, run, expected) => {
  expect(passes(when, run)).toBe(expected);
});
