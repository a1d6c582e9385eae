export type { ControllerOptions } from "./config.ts";
export { type RunningController, startController } from "./controller.ts";
export { type NatsConfigFilesOptions, writeNatsConfig } from "./nats-config.ts";
export { CONTROLLER_VERSION } from "./version.ts";
