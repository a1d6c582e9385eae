/**
 * An agent to be killed: starts the workload of the spec given as JSON, says so and goes on living.
 * Arguments: "docker" and an instance, or "process" and a folder; then the spec.
 */
import { systemClock as clock, silentLogger as logger } from "@kedge/kernel";
import { connectDocker } from "../docker/connect.ts";
import { createDockerRuntime } from "../docker/docker-runtime.ts";
import { createProcessRuntime } from "../process/process-runtime.ts";
import type { WorkloadSpec } from "../runtime.ts";

const [kind, place = "", spec = ""] = process.argv.slice(2);
const runtime =
  kind === "docker"
    ? createDockerRuntime({ docker: connectDocker(), instance: place, clock, logger })
    : createProcessRuntime({ dir: place, clock, logger });

await runtime.start(JSON.parse(spec) as WorkloadSpec);
process.stdout.write("started\n");
await clock.sleep(60_000);
