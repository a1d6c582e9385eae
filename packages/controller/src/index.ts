export type { ControllerOptions } from "./config.ts";
export { type RunningController, startController } from "./controller.ts";
export { type NatsConfigFilesOptions, writeNatsConfig } from "./nats-config.ts";
