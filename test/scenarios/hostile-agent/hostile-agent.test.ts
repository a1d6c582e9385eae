import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Bus, publishHeartbeat, publishLog, publishTaskEvent, subjects } from "@kedge/bus";
import { followLogs, logLines } from "@kedge/client";
import {
  HeartbeatSchema,
  JobState,
  LogChunkSchema,
  LogStream,
  TaskEventSchema,
  TaskFinishedSchema,
  type TaskRefFull,
  TaskRefFullSchema,
  TaskState,
} from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { ended, job, jobWhere, outcome, submit } from "../../setup/runs.ts";
import { connectAs } from "../../setup/stolen-identity.ts";
import { waitUntil } from "../../setup/wait-for.ts";

const LIE = "lie:1";

describe("an agent that turned hostile", () => {
  const stop = new AbortController();
  let cluster: Cluster;
  let bus: Bus;
  let hostile: string;
  let victim: string;

  beforeAll(async () => {
    cluster = await Cluster.start([
      { name: "hostile", labels: { role: "hostile" } },
      { name: "victim", labels: { role: "victim" } },
    ]);
    [hostile, victim] = [cluster.node("hostile").id, cluster.node("victim").id];
    // Its own agent must not correct what it says.
    await cluster.node("hostile").agent.kill("SIGKILL");
    bus = await connectAs(cluster.node("hostile"), stop.signal);
  });

  afterAll(async () => {
    stop.abort();
    await bus?.close();
    await cluster?.[Symbol.asyncDispose]();
  });

  /** Waits until the controller has handled what the hostile node sent before. */
  async function handled(mark: string): Promise<void> {
    await waitUntil("the controller heard the hostile node", async () => {
      publishHeartbeat(
        bus,
        create(HeartbeatSchema, { nodeId: hostile, bootId: mark, sequence: 1n, agentVersion: mark }),
      );
      const { node } = await cluster.client.nodes.getNode({ nodeId: hostile });
      return { ok: node?.agentVersion === mark, seen: node?.agentVersion };
    });
  }

  it("cannot speak for another node", async () => {
    const heartbeat = create(HeartbeatSchema, { nodeId: victim, bootId: "b", sequence: 1n, gatewayAddress: LIE });
    const payload = toBinary(HeartbeatSchema, heartbeat);
    bus.connection.publish(subjects.heartbeat(victim), payload);
    bus.connection.publish(subjects.heartbeat(hostile), payload);
    await handled("spoke");
    const { node } = await cluster.client.nodes.getNode({ nodeId: victim });
    expect(node?.gatewayAddress).not.toBe(LIE);
  });

  it("cannot read another node's assignment", async () => {
    const seen: string[] = [];
    // A refused subscription is told as an error without a message.
    const callback = (refused: Error | null, message: { readonly subject: string }): void => {
      if (refused === null) seen.push(message.subject);
    };
    bus.connection.subscribe(subjects.document("assignments", victim), { callback });
    const stored = subjects.kv("assignments", victim);
    for (const prefix of ["KJS.API", "$JS.API"]) {
      const read = bus.connection.request(`${prefix}.DIRECT.GET.KV_assignments.${stored}`, "", { timeout: 500 });
      await expect(read).rejects.toThrow();
    }
    await handled("read");
    expect(seen).toEqual([]);
  });

  it("cannot have the server's answers delivered into documents or to other nodes", async () => {
    const before = await cluster.client.nodes.listNodes({});
    const targets = [subjects.kv("nodes", victim), subjects.kv("assignments", victim), subjects.offers(victim)];
    for (const reply of targets) bus.connection.publish(subjects.lease(hostile), new Uint8Array(), { reply });
    await bus.connection.flush();
    await handled("replied");
    const { nodes } = await cluster.client.nodes.listNodes({});
    expect(nodes.map(({ id, labels }) => ({ id, labels }))).toEqual(
      before.nodes.map(({ id, labels }) => ({ id, labels })),
    );
    await cluster.readyNode("victim");
  });

  it("cannot end, or write the log of, another node's task", async () => {
    const gate = join(cluster.folder, "gate");
    const runId = await submit(cluster, { file: join(import.meta.dirname, "kedge.yaml"), parameters: { gate } });
    const running = await jobWhere(cluster, runId, "honest", ({ state }) => state === JobState.RUNNING);
    const taskId = running.tasks[0]?.id ?? "";
    const ref = create(TaskRefFullSchema, { nodeId: hostile, taskId, fence: 1, runId, job: "honest" });
    await forge(ref);
    await handled("forged");
    await jobWhere(cluster, runId, "honest", ({ state }) => state === JobState.RUNNING);
    await writeFile(gate, "");
    const run = await ended(cluster, runId);
    expect(outcome(run)).toBe("SUCCEEDED");
    expect(job(run, "honest").outputs).toEqual({ RESULT: "honest" });
    expect(job(run, "honest").tasks.map(({ nodeId }) => nodeId)).toEqual([victim]);
    const lines: string[] = [];
    for await (const { text } of logLines(followLogs(cluster.client, { runId }))) lines.push(text);
    expect(lines).toContain("from the honest node");
    expect(lines).not.toContain(LIE);
  });

  /** Says of somebody else's task, under its own name and under the other's, that it ended, and what it printed. */
  async function forge(ref: TaskRefFull): Promise<void> {
    const value = create(TaskFinishedSchema, { state: TaskState.SUCCEEDED, outputs: { RESULT: LIE } });
    const event = create(TaskEventSchema, { ref, event: { case: "finished", value } });
    await publishTaskEvent(bus, event);
    const asVictim = create(TaskRefFullSchema, { ...ref, nodeId: victim });
    const stolen = toBinary(TaskEventSchema, create(TaskEventSchema, { ref: asVictim, event: event.event }));
    bus.connection.publish(subjects.taskEvents(victim, ref.taskId), stolen);
    bus.connection.publish(subjects.taskEvents(hostile, ref.taskId), stolen);
    const data = Buffer.from(`${LIE}\n`);
    await publishLog(bus, create(LogChunkSchema, { ref, sequence: 1n, step: "x", stream: LogStream.STDOUT, data }));
    await bus.connection.flush();
  }
});
