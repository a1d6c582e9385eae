import { startAgent } from "../agent.ts";

// A real agent in a process of its own, for tests that kill it. Argument: the data folder. Says "started <gateway>".
const [dataDir = "", modelServerEntry = ""] = process.argv.slice(2);
const capacity = { gpus: [], memoryMib: 1024 };
const agent = await startAgent({ dataDir, modelServerEntry, runtimes: ["process"], capacity });
process.stdout.write(`started ${agent.gatewayAddress}\n`);
process.on("SIGTERM", () => {
  void agent.stop().then(() => process.exit(0));
});
