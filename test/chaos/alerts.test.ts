import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fromJsonString } from "@bufbuild/protobuf";
import { AlertDeliveryState, ListDeliveriesResponseSchema } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../setup/cluster.ts";
import { kedge } from "../setup/kedge.ts";
import { waitFor, waitUntil } from "../setup/wait-for.ts";

/** A message as the receiver got it. */
interface Message {
  readonly id: string;
  readonly type: string;
  readonly node: string;
}

describe("alerts while the controller is killed", () => {
  let cluster: Cluster;
  let server: Server;
  const messages: Message[] = [];
  /** What happens before a request is answered. */
  let beforeAnswer = async (): Promise<void> => {};

  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const { type, data } = JSON.parse(Buffer.concat(chunks).toString());
      messages.push({ id: String(request.headers["webhook-id"]), type, node: data.incident.subject?.nodeId ?? "" });
      await beforeAnswer();
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cluster = await Cluster.start([{ name: "one" }]);
  });

  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
  });

  it("says in which line a policy is wrong, takes it when it is right, and tries the receiver", async () => {
    const file = join(cluster.folder, "alerts.yaml");
    await writeFile(file, "receivers:\n  hook: { webhook: { ulr: x } }\n");
    const wrong = await kedge(cluster.env, "alert", "policy", "set", file);
    expect(wrong, wrong.stderr).toMatchObject({ code: 2 });
    expect(wrong.stderr).toMatch(/alerts\.yaml:2:\d+: error: .*ulr/);

    const { port } = server.address() as AddressInfo;
    const hook = `{ webhook: { url: "http://127.0.0.1:${port}/in" }, allow-private: true }`;
    await writeFile(file, `receivers:\n  hook: ${hook}\nroutes:\n  - { receivers: [hook], repeat: 1h }\n`);
    const right = await kedge(cluster.env, "alert", "policy", "set", file);
    expect(right, right.stderr).toMatchObject({ code: 0 });
    expect(right.stdout).toContain("<redacted>");
    expect(await kedge(cluster.env, "alert", "test", "hook")).toMatchObject({ code: 0 });
    expect(await kedge(cluster.env, "alert", "test", "hok")).toMatchObject({ code: 5 });
    expect(messages.splice(0)).toMatchObject([{ type: "incident.opened" }]);
  });

  it("tells again what may not have been stored, under the same id, and nothing twice after that", async () => {
    beforeAnswer = async () => {
      beforeAnswer = async () => {};
      await cluster.controller.kill("SIGKILL");
    };
    await cluster.node("one").agent.kill("SIGKILL");
    await waitUntil("the controller is killed in the middle", async () => ({
      ok: !cluster.controller.running,
      seen: messages,
    }));
    cluster.controller.restart();
    const nodeId = cluster.node("one").id;
    const told = () => messages.filter(({ node }) => node === nodeId);
    await waitUntil("it is told again", async () => ({ ok: told().length >= 2, seen: messages }));
    cluster.node("one").agent.restart();
    await cluster.readyNode("one");
    await waitUntil(
      "its end is told",
      async () => ({ ok: told().some(({ type }) => type === "incident.resolved"), seen: messages }),
      90_000,
    );
    const [first, second, end, ...more] = told();
    expect(more).toEqual([]);
    expect(first).toMatchObject({ type: "incident.opened" });
    expect(second).toEqual(first);
    expect(end?.id).not.toBe(first?.id);

    const listed = await waitFor("the delivery is stored", async () => {
      const { stdout } = await kedge(cluster.env, "alert", "deliveries", "--json");
      const { deliveries } = fromJsonString(ListDeliveriesResponseSchema, stdout);
      const isDone = deliveries.some(({ state }) => state === AlertDeliveryState.DELIVERED);
      return isDone ? { value: deliveries } : { instead: stdout };
    });
    expect(listed).toMatchObject([{ number: 2, receiver: "hook", told: true, toldResolved: true }]);
  });

  it("silences and speaks again", async () => {
    const silenced = await kedge(
      cluster.env,
      "alert",
      "silence",
      "--for",
      "1h",
      "--node",
      "one-*",
      "--comment",
      "move",
    );
    expect(silenced, silenced.stderr).toMatchObject({ code: 0 });
    const id = /^([0-9a-z]{26}) /m.exec(silenced.stdout)?.[1] ?? "";
    expect((await kedge(cluster.env, "alert", "silences")).stdout).toContain("node one-*");
    expect(await kedge(cluster.env, "alert", "unsilence", id)).toMatchObject({ code: 0 });
    expect((await kedge(cluster.env, "alert", "silences")).stdout).toContain("nothing is silenced");
    expect(await kedge(cluster.env, "alert", "silence", "--for", "1h", "--comment", "x")).toMatchObject({ code: 2 });
  });
});
