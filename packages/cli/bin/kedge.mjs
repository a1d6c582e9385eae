#!/usr/bin/env node
import { existsSync } from "node:fs";

// An agent waits most of its life: with a small nursery, and nothing compiled to machine code before its first task
// (the agent then allows it), it takes two thirds of the memory. V8 must know before it starts, so the process
// replaces itself; it keeps its id.
const FRUGAL = [
  "--max-semi-space-size=1",
  "--optimize-for-size",
  "--max-lazy",
  "--no-opt",
  "--no-maglev",
  "--no-sparkplug",
  "--regexp-interpret-all",
];

const built = new URL("../dist/main.js", import.meta.url);
if (!existsSync(built)) {
  process.stderr.write("kedge is not built; run `npm run build` in the repository first.\n");
  process.exit(1);
}
const { argv, execArgv, execPath } = process;
if (argv[2] === "agent" && process.execve !== undefined && !execArgv.includes(FRUGAL[0])) {
  process.execve(execPath, [execPath, ...FRUGAL, ...execArgv, ...argv.slice(1)]);
}
const { main } = await import(built.href);
await main(argv);
