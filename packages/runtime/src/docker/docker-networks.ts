import { isIPv4 } from "node:net";
import type { Networks } from "../networks.ts";
import type { DockerClient } from "./connect.ts";
import { callDocker } from "./docker-error.ts";

/** The networks of one Docker Engine. */
export function createNetworks(docker: DockerClient): Networks {
  const find = async (name: string) => {
    const found = await callDocker("networks are listed", () =>
      docker.listNetworks({ filters: JSON.stringify({ name: [name] }) }),
    );
    // The filter matches parts of names too.
    return found?.filter((network) => network.Name === name) ?? [];
  };
  return {
    ensure: async (name, labels) => {
      if ((await find(name)).length > 0) return;
      const create = () => docker.createNetwork({ Name: name, Labels: { ...labels }, CheckDuplicate: true });
      const made = await callDocker(`network ${name} is made`, create, [409]);
      if (made === undefined) return;
      // The engine lets two calls at once make two networks of a name. The older one stays.
      const [oldest] = (await find(name)).sort((a, b) => a.Created.localeCompare(b.Created));
      if (oldest?.Id !== made.id) await callDocker(`network ${name} is made`, () => made.remove(), [404]);
    },
    list: async (labels) => {
      const label = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
      const list = () => docker.listNetworks({ filters: JSON.stringify({ label }) });
      return (await callDocker("networks are listed", list))?.map((network) => network.Name) ?? [];
    },
    hostAddress: async (name) => {
      const configs = (await find(name)).flatMap(({ IPAM }) => IPAM?.Config ?? []);
      return configs.map((config) => config["Gateway"]).find((address) => address !== undefined && isIPv4(address));
    },
    remove: async (name) => {
      for (const { Id } of await find(name)) {
        await callDocker(`network ${name} is removed`, () => docker.getNetwork(Id).remove(), [404]);
      }
    },
  };
}
