// Set-up, then the work: `node deploy/setup/main.mjs setup|test|demo|bench [arguments]`.
// Runs on plain Node 20 without any package installed, so it imports nothing but Node and its own folder.
import { buildPackages } from "./build.mjs";
import { ensureDocker } from "./docker-engine.mjs";
import { ensurePackages } from "./node-packages.mjs";
import { describeFailure } from "./platform.mjs";
import { root, runNode } from "./run.mjs";
import { ensureSystemPrograms } from "./system-programs.mjs";
import { runTests } from "./tests.mjs";

const [command = "setup", ...args] = process.argv.slice(2);
const works = {
  setup: async () => 0,
  test: () => runTests(args),
  demo: () => runNode([`${root}/deploy/demo/main.ts`, ...args]),
  bench: () => runNode([`${root}/test/bench/main.ts`, ...args]),
};

async function main() {
  const work = works[command];
  if (work === undefined) {
    console.error(`unknown command ${command}; there are ${Object.keys(works).join(", ")}`);
    return 2;
  }
  const noDocker = args.includes("--no-docker");
  const stops = [];
  const stopAll = async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  };
  // The work gets the terminal's signals too and ends by itself; we stay to clean up after it.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {});
  try {
    await ensurePackages();
    await ensureSystemPrograms({ noDocker, forBench: command === "bench", forTest: command === "test" });
    await buildPackages();
    if (!noDocker) stops.push(await ensureDocker());
    return await work();
  } catch (error) {
    console.error(describeFailure(error));
    return 1;
  } finally {
    await stopAll();
  }
}

process.exitCode = await main();
