import { setFlagsFromString } from "node:v8";

let isAllowed = false;

/**
 * Lets V8 compile hot functions, which `kedge agent` starts without: an agent that only waits must not pay for it in
 * memory, and one with work to do is several times faster with it. Does nothing the second time.
 */
export function allowCompiling(): void {
  if (isAllowed) return;
  isAllowed = true;
  setFlagsFromString("--opt");
}
