import { KedgeError } from "@kedge/domain";
import { processGpuVariables } from "../gpu-variables.ts";
import type { WorkloadSpec } from "../runtime.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Fails with `INVALID_FIELD` for what only a container can give. Limits are accepted and not enforced. */
export function assertProcessSpec(spec: WorkloadSpec): void {
  const [program] = spec.command;
  if (program === undefined || program === "" || program.startsWith("-")) {
    throw invalid("command", "a process needs a program that does not start with '-'");
  }
  if (spec.image !== undefined) throw invalid("image", "a process has no image");
  if (spec.network !== undefined) throw invalid("network", "a process has the host's network");
  if (spec.aliases !== undefined) throw invalid("aliases", "a process has the host's name");
  if (spec.user !== undefined) throw invalid("user", "a process runs as the agent's user");
  if (spec.mounts !== undefined && spec.mounts.length > 0) throw invalid("mounts", "a process has no mounts");
  for (const text of [...spec.command, ...Object.entries(spec.env).flat()]) {
    if (text.includes("\0")) throw invalid("command", "arguments and variables cannot contain a zero byte");
  }
}

/** The whole environment of a process. HOME is its workspace, so that the agent user's own files are not found. */
export function processEnvironment(
  spec: WorkloadSpec,
  folder: string,
  hostPort: number | undefined,
): Record<string, string> {
  return {
    PATH,
    HOME: spec.workspace ?? folder,
    LANG: "C.UTF-8",
    ...spec.env,
    ...processGpuVariables(spec.gpus),
    ...(hostPort === undefined ? {} : { PORT: String(hostPort) }),
  };
}

function invalid(field: string, message: string): KedgeError {
  return new KedgeError("INVALID_FIELD", message, { field, hint: "run it in a container" });
}
