export type { ControllerOptions } from "./config.ts";
export { type RunningController, startController } from "./controller.ts";
export { CONTROLLER_VERSION } from "./version.ts";
