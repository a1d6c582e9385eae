// `npm run demo`: a controller, four agents, a good release and a bad one, all real. README.md tells the story.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { aborted, systemClock } from "@kedge/kernel";
import { type DemoOptions, HELP, parseOptions } from "./options.ts";
import { Story } from "./story.ts";
import { differences, tellSummary } from "./summary.ts";
import { Timeline } from "./timeline.ts";

/** A story that takes longer has gone wrong. */
const LONGEST_STORY_MS = 300_000;
const root = resolve(import.meta.dirname, "../..");

async function main(): Promise<number> {
  let options: DemoOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
    return 2;
  }
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const interrupt = new AbortController();
  const late = new AbortController();
  const signal = AbortSignal.any([interrupt.signal, late.signal]);
  const cancelLimit = systemClock.after(LONGEST_STORY_MS, () => {
    late.abort(new Error(`the story was not over after ${LONGEST_STORY_MS / 1000} s`));
  });
  // The first signal ends the story; cleaning up goes on whatever comes.
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => interrupt.abort(new Error(`received ${name}`)));
  }
  // Nor may a reader that goes away (`| head`) or a defect of our own leave anything behind.
  process.stdout.on("error", () => interrupt.abort(new Error("nobody reads")));
  process.on("uncaughtException", (error) => late.abort(error));
  const timeline = new Timeline({ json: options.json, stream: process.stdout });
  const folder = await mkdtemp(join(tmpdir(), "kedge-demo-"));
  const story = new Story({ root, folder, docker: options.docker, timeline, signal });
  try {
    const code = await play(story, timeline);
    cancelLimit();
    if (options.keep) {
      tellHowToLookAround(story, timeline);
      await aborted(interrupt.signal);
    }
    return code;
  } catch (error) {
    if (interrupt.signal.aborted) return 130;
    const cause: unknown = late.signal.aborted ? late.signal.reason : error;
    timeline.say("demo", cause instanceof Error ? cause.message : String(cause), "bad");
    return 1;
  } finally {
    await cleanUp(story, folder, timeline);
  }
}

async function play(story: Story, timeline: Timeline): Promise<number> {
  const result = await story.play();
  tellSummary(result, timeline);
  const differing = differences(result);
  for (const text of differing) timeline.say("demo", `not as told: ${text}`, "bad");
  if (differing.length === 0) {
    timeline.say("demo", "as told: v6 was promoted without a failed request, the bad release was rolled back", "good");
  }
  return differing.length === 0 ? 0 : 1;
}

function tellHowToLookAround(story: Story, timeline: Timeline): void {
  const kedge = `${join(root, "node_modules/.bin/node")} ${join(root, "packages/cli/bin/kedge.mjs")}`;
  timeline.title("Everything stays up until Ctrl-C. In another terminal:");
  timeline.print(`  export KEDGE_CONFIG=${story.cluster.contextFile}`);
  timeline.print(`  alias kedge='${kedge}'`);
  for (const command of ["get nodes", "get runs", "rollout status voice", "deployment explain voice", "events -f"]) {
    timeline.print(`  kedge ${command}`);
  }
  timeline.record({ type: "kept", contextFile: story.cluster.contextFile, kedge });
}

async function cleanUp(story: Story, folder: string, timeline: Timeline): Promise<void> {
  timeline.say("demo", "cleaning up", "progress");
  const problems = await story.stop().catch((error: unknown) => [String(error)]);
  for (const problem of problems) timeline.say("demo", `could not be ended: ${problem}`, "bad");
  // Kept when something may still run from it.
  if (problems.length === 0) await rm(folder, { recursive: true, force: true });
  else timeline.say("demo", `the folder ${folder} is kept`, "bad");
}

process.exitCode = await main();
