import { startAgent } from "../agent.ts";

// A real agent in a process of its own, for tests that kill it. Arguments: the data folder, the model server's
// script, the lease and the silence that makes a cut, both in milliseconds. Says "started <gateway>".
const [dataDir = "", modelServerEntry = "", leaseMs = "30000", cutOffMs = "5000"] = process.argv.slice(2);
const capacity = { gpus: [], memoryMib: 1024 };
const agent = await startAgent({
  ...{ dataDir, modelServerEntry, capacity },
  runtimes: ["process"],
  leaseMs: Number(leaseMs),
  cutOffMs: Number(cutOffMs),
});
process.stdout.write(`started ${agent.gatewayAddress}\n`);
process.on("SIGTERM", () => {
  void agent.stop().then(() => process.exit(0));
});
