import { KedgeError } from "@kedge/domain";
import type { BuildResult } from "../image-store.ts";
import { loginHint } from "../registry/registry-logins.ts";
import type { ProgressEvent } from "./progress.ts";

/**
 * What a build's error event means. The engine gives all of them no code but one (classic builder, RUN), so the step
 * that failed decides: a command's failure is an outcome, a base image may be there later, the rest is the Dockerfile.
 */
export function buildFailure(event: ProgressEvent, failedStep: string | undefined): BuildResult {
  const message = event.errorDetail?.message ?? event.error ?? "the build failed";
  const exitCode = event.errorDetail?.code ?? trailingExitCode(message);
  if (exitCode !== undefined && exitCode !== 0) return { kind: "failed", exitCode, message };
  const baseImage = failedStep === undefined ? undefined : baseImageOf(failedStep);
  if (baseImage !== undefined) {
    throw new KedgeError("IMAGE_UNAVAILABLE", `a base image of the build cannot be had: ${message}`, {
      hint: "check the image's name in FROM and that its registry is reached from the node",
      ...loginHint(baseImage, message),
    });
  }
  throw new KedgeError("INVALID_FIELD", `the image cannot be built: ${message}`, { field: "dockerfile" });
}

/** BuildKit ends the error of a failed command this way, in every version since 18.09. */
function trailingExitCode(message: string): number | undefined {
  const code = /exit code: (\d{1,3})$/.exec(message)?.[1];
  return code === undefined ? undefined : Number.parseInt(code, 10);
}

/** "[1/3] FROM x" and "[internal] load metadata for x" of BuildKit, "Step 1/3 : FROM x" of the classic builder. */
function baseImageOf(step: string): string | undefined {
  return /^(?:Step \d+\/\d+ : |\[[^\]]*\] )(?:FROM|load metadata for) (\S*)/.exec(step)?.[1];
}
