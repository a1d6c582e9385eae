import { create, toBinary } from "@bufbuild/protobuf";
import { type LocalDecision, LocalDecisionKind, LocalDecisionSchema } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { publishBeat, subscribeBeats } from "./beat.ts";
import { consumeDecisions, publishDecision } from "./decision-messages.ts";
import { BEAT_SUBJECT, subjects } from "./subjects.ts";
import { startTestBus, type TestBus, type TestNode } from "./testing/test-bus.ts";

describe("what nodes decide alone", () => {
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

  const decision = (nodeId: string, rolloutId: string): LocalDecision =>
    create(LocalDecisionSchema, { nodeId, rolloutId, deployment: "d", revision: 2, kind: LocalDecisionKind.ROLLBACK });

  it("reaches the controller, again after a failure, and never under another node's name", async () => {
    const forged = toBinary(LocalDecisionSchema, decision("n2", "d-2-1"));
    await node.bus.jetstream.publish(subjects.decisions("n1"), forged);
    await node.bus.jetstream.publish(subjects.decisions("n1"), "garbage");
    await publishDecision(node.bus, decision("n1", "d-2-1"));
    const batches: string[][] = [];
    const onDecisions = (decisions: LocalDecision[]): Promise<void> => {
      batches.push(decisions.map(({ nodeId, rolloutId }) => `${nodeId} ${rolloutId}`));
      return batches.length === 1 ? Promise.reject(new Error("not now")) : Promise.resolve();
    };
    const consuming = consumeDecisions(world.bus, { durable: "controller", onDecisions }, stop.signal);
    await expect.poll(() => batches, { timeout: 5_000 }).toEqual([["n1 d-2-1"], ["n1 d-2-1"]]);
    await publishDecision(node.bus, decision("n1", "d-3-1"));
    await expect.poll(() => batches.at(-1), { timeout: 5_000 }).toEqual(["n1 d-3-1"]);
    stop.abort();
    await consuming;
  });

  it("keeps a bounded number of them a node", async () => {
    for (let n = 0; n < 70; n++) await publishDecision(node.bus, decision("n1", `d-${n}-1`));
    const { state } = await world.bus.manager.streams.info("KEDGE_DECISIONS");
    expect(state.messages).toBe(64);
  });

  it("lets nodes hear the leader's beat, and none of them speak for it", async () => {
    const other = await world.connectNode("n2");
    let heard = 0;
    subscribeBeats(other.bus, () => {
      heard += 1;
    });
    await other.bus.connection.flush();
    node.bus.connection.publish(BEAT_SUBJECT);
    await node.bus.connection.flush();
    publishBeat(world.bus);
    await expect.poll(() => heard, { timeout: 5_000 }).toBe(1);
  });
});
