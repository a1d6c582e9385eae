// Resident memory of an agent that has nothing to do, and of the controller.
import { residentMib, startBenchCluster } from "./bench-cluster.ts";

const SETTLE_MS = 15_000;

await using cluster = await startBenchCluster([{ name: "edge", runtime: "docker,process" }]);
await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
const [agent = 0] = cluster.agentPids;
console.log(`agent at rest: ${(await residentMib(agent)).toFixed(1)} MiB resident; goal <= 80 MB (76.3 MiB)`);
console.log(`controller at rest: ${(await residentMib(cluster.controllerPid)).toFixed(1)} MiB resident`);
