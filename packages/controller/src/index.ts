export type { ControllerOptions } from "./config.ts";
export { type RunningController, startController } from "./controller.ts";
export { LocalRun, type LocalRunOptions, type LocalTask, type LocalWork } from "./local/local-run.ts";
export { type NatsConfigFilesOptions, writeNatsConfig } from "./nats-config.ts";
export { secretNames } from "./secrets/job-secrets.ts";
export { CONTROLLER_VERSION } from "./version.ts";
