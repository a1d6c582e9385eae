// `npm test`: lint, contract checks, types, then every test.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { root, run, runNode } from "./run.mjs";

const report = `${root}/.kedge/test-report.json`;

/** Runs everything; arguments go to vitest and skip the checks. Resolves to an exit code. */
export async function runTests(args) {
  if (args.length === 0) {
    for (const [file, ...rest] of [
      ["biome", "check", "."],
      ["buf", "lint", "proto"],
    ]) {
      const code = await run(`${root}/node_modules/.bin/${file}`, rest);
      if (code !== 0) return code;
    }
    const layers = await runNode([`${root}/deploy/setup/lint-layers.mjs`]);
    if (layers !== 0) return layers;
  }
  mkdirSync(`${root}/.kedge`, { recursive: true });
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const env = { ...process.env, TESTCONTAINERS_RYUK_DISABLED: "true" };
  const code = await run(`${root}/node_modules/.bin/vitest`, ["run", ...reporters, ...args], {
    env: { ...env, PATH: `${root}/node_modules/.bin:/usr/sbin:/sbin:${process.env.PATH}` },
  });
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, "utf8"));
  console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
  return numPassedTests === 0 ? 1 : code;
}
