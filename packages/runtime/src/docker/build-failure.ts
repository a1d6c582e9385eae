import { KedgeError } from "@kedge/domain";
import type { BuildResult } from "../image-store.ts";
import type { ProgressEvent } from "./progress.ts";
export function buildFailure(event: ProgressEvent): BuildResult {
  console.log("FAILURE", JSON.stringify(event));
  throw new KedgeError("INVALID_FIELD", event.error ?? "");
}
