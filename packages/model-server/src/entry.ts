import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Path of the program that serves one model version; start it with `node`. It has the extension of this file, so it
 * is right from the sources and from the build; sources of the workspace also need `node -C kedge-source`.
 */
export const MODEL_SERVER_ENTRY: string = fileURLToPath(
  new URL(`./main${extname(fileURLToPath(import.meta.url))}`, import.meta.url),
);
