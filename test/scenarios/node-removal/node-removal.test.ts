import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { kedge } from "../../setup/kedge.ts";
import { connectAs } from "../../setup/stolen-identity.ts";
import { waitUntil } from "../../setup/wait-for.ts";

describe("a node that is removed", () => {
  const stop = new AbortController();
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "leaver" }, { name: "stayer" }]);
  });

  afterAll(async () => {
    stop.abort();
    await cluster?.[Symbol.asyncDispose]();
  });

  it("is cut off at once, cannot connect again, and is known no more", async () => {
    const leaver = cluster.node("leaver");
    const stolen = await connectAs(leaver, stop.signal);
    expect(stolen.connected).toBe(true);
    const removed = await kedge(cluster.env, "node", "remove", leaver.id);
    expect(removed.code, removed.stderr).toBe(0);
    await waitUntil("its connection is cut", async () => ({ ok: !stolen.connected }));
    await stolen.close();
    await expect(connectAs(leaver, AbortSignal.timeout(2_000))).rejects.toThrow();
    await expect(cluster.client.nodes.getNode({ nodeId: leaver.id })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await cluster.readyNode("stayer");
  });
});
