// `npm test`: style, contract and layers, then every test.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { root, run, runNode, toolEnv } from "./run.mjs";

const CHECKS = [
  ["biome", "check", "."],
  ["buf", "lint", "proto"],
  ["tsc", "-p", "deploy/demo"],
  ["tsc", "-p", "deploy/docker"],
  ["tsc", "-p", "test"],
];

/** Packages side by side, then what starts whole clusters, alone on the machine. */
const PHASES = ["!test", "test"];

/** Runs everything; with arguments, which go to vitest, only the tests they select. Resolves to an exit code. */
export async function runTests(args) {
  if (args.length > 0) return (await runVitest("selected", args)).code;
  for (const [program, ...rest] of CHECKS) {
    const code = await run(`${root}/node_modules/.bin/${program}`, rest);
    if (code !== 0) return code;
  }
  const breaking = await checkContract();
  if (breaking !== 0) return breaking;
  const layers = await runNode([`${root}/deploy/setup/lint-layers.mjs`]);
  if (layers !== 0) return layers;
  // Tests run on the Node that the set-up brings; users may have the oldest one that is supported.
  const starts = await run(process.execPath, [`${root}/packages/cli/bin/kedge.mjs`, "version"]);
  if (starts !== 0) return starts;
  const results = [];
  for (const project of PHASES) results.push(await runVitest(project, ["--project", project]));
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  console.log(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
  const failed = results.find((result) => result.code !== 0);
  return failed?.code ?? (sum("passed") === 0 ? 1 : 0);
}

/** The API may grow but not change against the commit before, where there is one to compare with. */
async function checkContract() {
  const quiet = { stdio: "ignore" };
  if ((await run("git", ["cat-file", "-e", "HEAD~1:proto/buf.yaml"], quiet)) !== 0) return 0;
  return run(`${root}/node_modules/.bin/buf`, ["breaking", "proto", "--against", ".git#ref=HEAD~1,subdir=proto"]);
}

async function runVitest(name, args) {
  const report = `${root}/.kedge/tests-${name.replace("!", "not-")}.json`;
  mkdirSync(`${root}/.kedge`, { recursive: true });
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const code = await run(`${root}/node_modules/.bin/vitest`, ["run", ...reporters, ...args], {
    env: toolEnv({ TESTCONTAINERS_RYUK_DISABLED: "true" }),
  });
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, "utf8"));
  return { code, passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests };
}
