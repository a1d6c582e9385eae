import { create, toBinary } from "@bufbuild/protobuf";
import { type TaskEvent, TaskEventSchema, TaskOfferSchema, type TaskRefFull, TaskRefFullSchema } from "@kedge/proto";
import { createUser } from "@nats-io/nkeys";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PulledOffer, pullOffers } from "./offers.ts";
import { createSigner } from "./signing.ts";
import { subjects } from "./subjects.ts";
import { consumeTaskEvents } from "./task-event-consumer.ts";
import { claimTask, offerTask, publishTaskEvent, withdrawTask } from "./task-messages.ts";
import { startTestBus, type TestBus, type TestNode } from "./testing/test-bus.ts";

describe("tasks over the bus", () => {
  let world: TestBus;
  let node: TestNode;
  const stop = new AbortController();

  beforeAll(async () => {
    world = await startTestBus();
    node = await world.connectNode("n1");
  });

  afterAll(async () => {
    stop.abort();
    await world.stop();
  });

  const refOf = (taskId: string, nodeId = "n1"): TaskRefFull =>
    create(TaskRefFullSchema, { nodeId, taskId, runId: "r1", job: "build", fence: 1 });

  const offered = async (abort: AbortController, count: number): Promise<PulledOffer[]> => {
    const pulled: PulledOffer[] = [];
    const options = { nodeId: "n1", controllerKey: world.authority.signer.publicKey };
    for await (const offer of pullOffers(node.bus, options, abort.signal)) {
      if (pulled.push(offer) === count) break;
    }
    return pulled;
  };

  it("hands a signed offer to its node, and drops what the controller did not sign for it", async () => {
    const forger = createSigner(createUser().getSeed());
    await offerTask(world.bus, forger, create(TaskOfferSchema, { ref: refOf("forged") }));
    await offerTask(world.bus, world.authority.signer, create(TaskOfferSchema, { ref: refOf("t1") }));
    await offerTask(world.bus, world.authority.signer, create(TaskOfferSchema, { ref: refOf("t1") }));
    await offerTask(world.bus, world.authority.signer, create(TaskOfferSchema, { ref: refOf("t2") }));
    const pulled = await offered(new AbortController(), 2);
    expect(pulled.map(({ offer }) => offer.ref?.taskId)).toEqual(["t1", "t2"]);
    for (const { ack } of pulled) await ack();
    await expect
      .poll(async () => (await world.bus.manager.streams.info("KEDGE_OFFERS")).state.messages, { timeout: 5_000 })
      .toBe(0);
  });

  it("ends the pull when the signal aborts", async () => {
    const abort = new AbortController();
    const pulling = offered(abort, 1);
    await node.bus.connection.flush();
    abort.abort();
    expect(await pulling).toEqual([]);
  });

  it("lets exactly one of claim and withdrawal win, and repeats the answer", async () => {
    expect(await claimTask(node.bus, refOf("c1"), "boot-a")).toBe("claimed");
    expect(await claimTask(node.bus, refOf("c1"), "boot-a")).toBe("claimed");
    expect(await claimTask(node.bus, refOf("c1"), "boot-b")).toBe("lost");
    expect(await withdrawTask(world.bus, refOf("c1"), "late")).toBe("claimed");
    expect(await withdrawTask(world.bus, refOf("c2"), "early")).toBe("withdrawn");
    expect(await withdrawTask(world.bus, refOf("c2"), "again")).toBe("withdrawn");
    expect(await claimTask(node.bus, refOf("c2"), "boot-a")).toBe("lost");
  });

  it("decides every race the same way for both sides", async () => {
    const ids = Array.from({ length: 40 }, (_, i) => `race${i}`);
    const outcomes = await Promise.all(
      ids.map(async (id) => [
        await Promise.all([claimTask(node.bus, refOf(id), "b"), withdrawTask(world.bus, refOf(id), "x")]),
      ]),
    );
    for (const [pair] of outcomes)
      expect([
        ["claimed", "claimed"],
        ["lost", "withdrawn"],
      ]).toContainEqual(pair);
  });

  it("delivers events in order, retries a failing handler, and drops lies", async () => {
    const seen: TaskEvent[] = [];
    let failures = 1;
    const onEvents = async (events: TaskEvent[]): Promise<void> => {
      if (failures-- > 0) throw new Error("handler failed once");
      seen.push(...events.filter((event) => event.ref?.runId === "events"));
    };
    const abort = new AbortController();
    const consuming = consumeTaskEvents(world.bus, { durable: "test", onEvents }, abort.signal);
    const ref = { ...refOf("e1"), runId: "events" };
    const lie = create(TaskEventSchema, { ref: { ...ref, nodeId: "n2" }, event: { case: "started", value: {} } });
    await node.bus.jetstream.publish(subjects.taskEvents("n1", "e1"), toBinary(TaskEventSchema, lie));
    await node.bus.jetstream.publish(subjects.taskEvents("n1", "e1"), Uint8Array.of(255, 255));
    await publishTaskEvent(node.bus, create(TaskEventSchema, { ref, event: { case: "started", value: {} } }));
    for (const name of ["one", "two"]) {
      await publishTaskEvent(node.bus, create(TaskEventSchema, { ref, event: { case: "step", value: { name } } }));
    }
    await publishTaskEvent(node.bus, create(TaskEventSchema, { ref, event: { case: "finished", value: {} } }));
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(4);
    expect(seen.map(({ event }) => event.case)).toEqual(["started", "step", "step", "finished"]);
    abort.abort();
    await consuming;
    const unacknowledged = async (): Promise<number> =>
      (await world.bus.manager.consumers.info("KEDGE_TASKS", "test")).num_ack_pending;
    await expect.poll(unacknowledged, { timeout: 10_000 }).toBe(0);
  });
});
