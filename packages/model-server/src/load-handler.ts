import { access } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { errorMessage, KedgeError } from "@kedge/domain";
import type { Handler } from "./handler.ts";

const FILE = "handler.mjs";
const HOOKS = ["preprocess", "predict", "postprocess"] as const;

/**
 * Imports the model's `handler.mjs`; a handler without hooks when there is none.
 *
 * @throws KedgeError INVALID_MODEL when the file cannot be imported or exports something else under a hook's name.
 */
export async function loadHandler(modelDir: string): Promise<Handler> {
  const path = join(modelDir, FILE);
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (!exists) return {};
  let exported: object;
  try {
    exported = await import(pathToFileURL(path).href);
  } catch (error) {
    throw new KedgeError("INVALID_MODEL", `${FILE} cannot be imported: ${errorMessage(error)}`, { cause: error });
  }
  const hooks = HOOKS.map((hook) => [hook, Reflect.get(exported, hook)] as const).filter(
    ([, value]) => value !== undefined,
  );
  for (const [hook, value] of hooks) {
    if (typeof value === "function") continue;
    throw new KedgeError("INVALID_MODEL", `${FILE}: export ${hook} must be a function, is ${typeof value}`);
  }
  return Object.fromEntries(hooks);
}
