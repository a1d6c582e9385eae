import { connectDocker } from "@kedge/runtime";

/** Whether this machine has a Docker engine that answers. */
export async function hasDocker(): Promise<boolean> {
  return connectDocker()
    .ping()
    .then(
      () => true,
      () => false,
    );
}

/** Containers that a node's agent started, ended ones included. */
export async function containersOf(nodeId: string): Promise<string[]> {
  const filters = { label: [`kedge.instance=${nodeId}`] };
  return (await connectDocker().listContainers({ all: true, filters })).map(({ Id }) => Id);
}

/** Removes a node's containers. Nothing where there is no engine. */
export async function endContainersOf(nodeId: string): Promise<void> {
  if (!(await hasDocker())) return;
  for (const id of await containersOf(nodeId)) await connectDocker().getContainer(id).remove({ force: true });
}
