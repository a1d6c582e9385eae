import { startAgent } from "../agent.ts";
import type { AgentOptions } from "../config.ts";

// A real agent in a process of its own, for tests that kill it. Argument: its options as JSON. Says "started <gateway>".
const options = JSON.parse(process.argv[2] ?? "{}") as AgentOptions;
const agent = await startAgent({ ...options, capacity: { gpus: [], memoryMib: 1024 } });
process.stdout.write(`started ${agent.gatewayAddress}\n`);
process.on("SIGTERM", () => {
  void agent.stop().then(() => process.exit(0));
});
