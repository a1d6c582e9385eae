// Generated code and compiled packages.
import { root, runQuiet } from "./run.mjs";

/** Generates, then compiles what changed; quick when nothing did. */
export async function buildPackages() {
  await runQuiet(`${root}/node_modules/.bin/turbo`, ["run", "build", "--output-logs=errors-only", "--no-daemon"]);
}
