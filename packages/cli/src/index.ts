export { EXIT_CODES, type ExitName } from "./exit-codes.ts";
export { main, runCommandLine } from "./main.ts";
export type { Host } from "./session.ts";
