import { isIPv4 } from "node:net";
import type { ContainerAccess } from "../container-access.ts";
import { assertWorkloadId } from "../workload-id.ts";
import type { DockerClient } from "./connect.ts";
import { containerName } from "./container-spec.ts";
import { callDocker, mapDockerError } from "./docker-error.ts";

/** Access to the containers of one instance. */
export function createContainerAccess(docker: DockerClient, instance: string): ContainerAccess {
  const container = (id: string) => {
    assertWorkloadId(id);
    return docker.getContainer(containerName(instance, id));
  };
  return {
    exec: async (id, command, signal) => {
      const doing = `a command is run in workload ${id}`;
      try {
        const exec = await container(id).exec({ Cmd: [...command], AttachStdout: true, abortSignal: signal });
        const stream = await exec.start({ Detach: false, abortSignal: signal });
        // What it says is of no interest, but it must be read for the end to come.
        for await (const _ of stream) signal.throwIfAborted();
        // An aborted stream just ends.
        signal.throwIfAborted();
        return (await exec.inspect()).ExitCode ?? 1;
      } catch (error) {
        signal.throwIfAborted();
        throw mapDockerError(error, doing);
      }
    },
    address: async (id, network) => {
      const info = await callDocker(`workload ${id} is read`, () => container(id).inspect(), [404]);
      const address = info?.NetworkSettings.Networks[network]?.IPAddress ?? "";
      return info?.State.Running === true && isIPv4(address) ? address : undefined;
    },
  };
}
