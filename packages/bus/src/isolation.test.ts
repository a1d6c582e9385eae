import { create } from "@bufbuild/protobuf";
import { AssignmentSchema, TaskOfferSchema } from "@kedge/proto";
import { jetstreamManager } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/nats-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addNode } from "./provision.ts";
import { openStore } from "./store.ts";
import { bucketStream, STREAMS, subjects } from "./subjects.ts";
import { offerTask } from "./task-messages.ts";
import { startTestBus, type TestBus, type TestNode } from "./testing/test-bus.ts";

/** Time in which a message that gets through at all would have; several round trips are made before it counts. */
const QUIET_MS = 150;

describe("a hostile agent", () => {
  let world: TestBus;
  let hostile: TestNode;
  let victim: TestNode;
  const stop = new AbortController();

  beforeAll(async () => {
    world = await startTestBus();
    hostile = await world.connectNode("n1");
    victim = await world.connectNode("n2");
    const { signer } = world.authority;
    const signing = { signer, audience: (key: string) => key };
    const assignments = openStore(world.bus, { bucket: "assignments", schema: AssignmentSchema, signing });
    await assignments.start(stop.signal);
    for (const nodeId of ["n1", "n2"]) await assignments.create(nodeId, create(AssignmentSchema, { nodeId }));
  });

  afterAll(async () => {
    stop.abort();
    await world.stop();
  });

  /** Everything stored, per subject, except what n1 may write. */
  const stored = async (): Promise<Record<string, number>> => {
    const all: Record<string, number> = {};
    for (const stream of [...Object.values(STREAMS), "KV_assignments", "KV_routes", "KV_nodes", "KV_flags"]) {
      const info = await world.bus.manager.streams.info(stream, { subjects_filter: ">" });
      Object.assign(all, info.state.subjects);
    }
    return Object.fromEntries(Object.entries(all).filter(([subject]) => !subject.startsWith("kedge.node.n1.")));
  };

  /** Both connections and the server have handled what was sent before. */
  const settle = async (): Promise<void> => {
    for (const bus of [hostile.bus, victim.bus, world.bus]) await bus.connection.flush();
    await world.bus.clock.sleep(QUIET_MS);
    for (const bus of [victim.bus, world.bus]) await bus.connection.flush();
  };

  const refused = async (subject: string, payload = "{}"): Promise<void> => {
    await expect(hostile.bus.connection.request(subject, payload, { timeout: 500 })).rejects.toThrow();
  };

  const replies = [
    "kedge.to.n2.task",
    "kedge.node.n2.task.t1",
    "kedge.node.n2.lease",
    "kedge.doc.assignments.n2",
    "kedge.doc.routes.d1",
    "kedge.doc.flags.all",
    "$KV.flags.all",
    "$KV.assignments.n2",
    "_INBOX.n2.spy",
    "_INBOX.spy",
    "$JS.API.STREAM.PURGE.KEDGE_TASKS",
    "KJS.API.CONSUMER.MSG.NEXT.KEDGE_OFFERS.node-n2",
  ];

  it.each(replies)("cannot make the server answer to %s", async (reply) => {
    const seen: string[] = [];
    const spy = (_: Error | null, message: Msg): void => void seen.push(message.subject);
    const spies = [
      victim.bus.connection.subscribe("_INBOX.n2.>", { callback: spy }),
      victim.bus.connection.subscribe("kedge.doc.assignments.n2", { callback: spy }),
      victim.bus.connection.subscribe("kedge.doc.routes.*", { callback: spy }),
      victim.bus.connection.subscribe("kedge.doc.flags.*", { callback: spy }),
      world.bus.connection.subscribe("_INBOX.spy", { callback: spy }),
      world.bus.connection.subscribe("kedge.node.n2.>", { callback: spy }),
      world.bus.connection.subscribe("kedge.to.>", { callback: spy }),
      world.bus.connection.subscribe("$KV.>", { callback: spy }),
    ];
    await settle();
    const before = await stored();
    seen.splice(0);
    const { connection } = hostile.bus;
    connection.publish("kedge.node.n1.lease", "junk", { reply });
    connection.publish("kedge.node.n1.task.t1", "junk", { reply });
    connection.publish("kedge.node.n1.log.r.j", "junk", { reply });
    connection.publish("kedge.node.n1.heartbeat", "junk", { reply });
    connection.publish("KJS.API.DIRECT.GET.KV_assignments.$KV.assignments.n1", "", { reply });
    connection.publish("KJS.API.CONSUMER.INFO.KEDGE_OFFERS.node-n1", "", { reply });
    const offer = create(TaskOfferSchema, { ref: { nodeId: "n1", taskId: `t-${replies.indexOf(reply)}` } });
    connection.publish("KJS.API.CONSUMER.MSG.NEXT.KEDGE_OFFERS.node-n1", '{"batch":1,"expires":400000000}', { reply });
    await settle();
    await offerTask(world.bus, world.authority.signer, offer);
    await settle();
    const after = await stored();
    for (const own of ["kedge.to.n1.task"]) {
      delete before[own];
      delete after[own];
    }
    for (const subscription of spies) subscription.unsubscribe();
    expect(after).toEqual(before);
    expect(seen.filter((subject) => subject !== "kedge.to.n1.task")).toEqual([]);
  });

  it.each([
    subjects.lease("n2"),
    subjects.heartbeat("n2"),
    subjects.taskEvents("n2", "t1"),
    subjects.logs("n2", "r", "j"),
    subjects.metrics("n2", "d"),
    subjects.decisions("n2"),
    subjects.offers("n2"),
    subjects.offers("n1"),
    subjects.document("assignments", "n2"),
    subjects.document("routes", "d"),
    subjects.document("flags", "all"),
    subjects.flagChange("f", "01HZZZZZZZZZZZZZZZZZZZZZZZ"),
    "$KV.assignments.n1",
    "$KV.routes.d",
    "$KV.flags.all",
    "$KV.flagrecords.f",
    `kedge.chunk.${"0".repeat(64)}`,
    "kedge.event.node.n1",
    "_INBOX.n2.x",
    "_R_.x",
    "$JS.ACK.KEDGE_OFFERS.node-n2.1.1.1.1.0",
  ])("cannot publish on %s", async (subject) => {
    const before = await stored();
    const seen: string[] = [];
    const spy = world.bus.connection.subscribe(">", {
      callback: (_, message) => void (message.subject === subject && seen.push(message.subject)),
    });
    await settle();
    hostile.bus.connection.publish(subject, "junk");
    await settle();
    spy.unsubscribe();
    expect(seen).toEqual([]);
    expect(await stored()).toEqual(before);
  });

  it.each([
    "KJS.API.CONSUMER.MSG.NEXT.KEDGE_OFFERS.node-n2",
    "KJS.API.CONSUMER.INFO.KEDGE_OFFERS.node-n2",
    "KJS.API.DIRECT.GET.KV_assignments.$KV.assignments.n2",
    "KJS.API.DIRECT.GET.KV_assignments",
    "KJS.API.DIRECT.GET.KEDGE_TASKS.kedge.node.n2.task.t1",
    "KJS.API.DIRECT.GET.KV_flagrecords.$KV.flagrecords.f",
    "KJS.API.DIRECT.GET.KV_flags",
    "KJS.API.STREAM.MSG.GET.KEDGE_FLAG_CHANGES",
    "KJS.API.STREAM.MSG.GET.KV_assignments",
    "KJS.API.STREAM.INFO.KEDGE_TASKS",
    "KJS.API.STREAM.PURGE.KEDGE_TASKS",
    "KJS.API.STREAM.DELETE.KEDGE_TASKS",
    "KJS.API.CONSUMER.CREATE.KEDGE_OFFERS.evil.kedge.to.n2.task",
    "KJS.API.CONSUMER.CREATE.KV_assignments.evil",
    "KJS.API.CONSUMER.DURABLE.CREATE.KEDGE_OFFERS.evil",
    "KJS.API.CONSUMER.DELETE.KEDGE_OFFERS.node-n2",
    "$JS.API.STREAM.LIST",
    "$JS.API.CONSUMER.MSG.NEXT.KEDGE_OFFERS.node-n2",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.CLAIMS.UPDATE",
  ])("gets no answer from %s", async (subject) => {
    await refused(subject, JSON.stringify({ stream_name: "KEDGE_OFFERS", batch: 1, no_wait: true, last_by_subj: "x" }));
  });

  it.each([
    ">",
    "kedge.>",
    "kedge.node.>",
    "kedge.to.>",
    "_INBOX.>",
    "_INBOX.n2.>",
    "kedge.doc.>",
    "$JS.>",
    "_R_.>",
    "$SYS.>",
  ])("cannot subscribe to %s", async (subject) => {
    const errors: unknown[] = [];
    hostile.bus.connection.subscribe(subject, { callback: (error) => void (error !== null && errors.push(error)) });
    await expect.poll(() => errors.length, { timeout: 5_000 }).toBeGreaterThan(0);
  });

  it("cannot manage streams through the client library", async () => {
    const manager = await jetstreamManager(hostile.bus.connection, {
      apiPrefix: "KJS.API",
      checkAPI: false,
      timeout: 500,
    });
    await expect(manager.streams.info(STREAMS.tasks)).rejects.toThrow();
    await expect(manager.consumers.add(bucketStream("assignments"), { durable_name: "evil" })).rejects.toThrow();
  });

  it("is cut off when revoked, cannot come back, and others stay", async () => {
    await addNode(world.bus, "n3");
    const node = await world.connectNode("n3");
    expect(node.bus.connected).toBe(true);
    await world.authority.revokeNode(world.admin, "n3", node.publicKey);
    await expect.poll(() => node.bus.connected, { timeout: 10_000 }).toBe(false);
    await world.bus.clock.sleep(1_500);
    expect(node.bus.connected).toBe(false);
    expect(victim.bus.connected).toBe(true);
    await expect(victim.bus.connection.flush()).resolves.toBeUndefined();
  });
});
