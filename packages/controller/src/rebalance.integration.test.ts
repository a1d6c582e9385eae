import { ReplicaState } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import { ImageDeployment } from "./testing/image-deployment.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

const { READY, STARTING } = ReplicaState;

let harness: ControllerHarness;

beforeEach(async () => {
  harness = await ControllerHarness.start();
});
afterEach(() => harness.stop());

/** Joins a node and fills half of it with a deployment, before there are others or while they take nothing. */
async function serveOn(nodeId: string, name: string) {
  const agent = await harness.agent(nodeId);
  const deployment = new ImageDeployment(harness, name, {});
  await deployment.apply(`${name}:1`, { cpuMilli: 2000 });
  await deployment.rolledOut(1);
  expect(deployment.revisionsOn(agent)).toEqual([1]);
  return { agent, deployment };
}

const has = (agent: ScriptedAgent, name: string): boolean =>
  agent.assignment?.replicas.some(({ deployment }) => deployment === name) === true;

test("a replica moves to empty a node; the old one goes only when the new one is ready", async () => {
  const one = await serveOn("n1", "left");
  await harness.nodes.cordonNode({ nodeId: "n1" });
  const two = await serveOn("n2", "right");
  await harness.nodes.uncordonNode({ nodeId: "n1" });

  const plan = await eventually(
    () => harness.scheduling.rebalance({}),
    ({ moves }) => moves.length > 0,
  );
  expect(plan).toMatchObject({ emptyNodesBefore: 0, emptyNodesAfter: 1 });
  const [planned, ...others] = plan.moves;
  expect(others).toEqual([]);
  const [from, to] = planned?.fromNodeId === "n1" ? [one, two] : [two, one];
  const { agent: target } = to;
  const { agent: source, deployment } = from;
  expect(planned).toMatchObject({ deployment: deployment.name, toNodeId: target.nodeId });
  // A plan alone moves nothing.
  expect((await deployment.look()).moves).toEqual([]);

  const own = source.assignment?.replicas[0]?.replicaId;
  let reports = 0;
  target.replicaState = (_, replicaId) => {
    if (!replicaId.startsWith(`${deployment.name}.`)) return READY;
    reports++;
    return STARTING;
  };
  const begun = await harness.scheduling.rebalance({ apply: true });
  expect(begun.moves).toMatchObject([{ replicaId: own, fromNodeId: source.nodeId, toNodeId: target.nodeId }]);
  // The new one is not ready in several heartbeats; the controller looks at the deployment as often.
  await eventually(
    async () => reports,
    (count) => count >= 8,
  );
  const before = await deployment.look();
  expect(before.moves).toHaveLength(1);
  expect(has(target, deployment.name)).toBe(true);
  expect(has(source, deployment.name)).toBe(true);

  target.replicaState = () => READY;
  await eventually(
    async () => has(source, deployment.name),
    (isThere) => !isThere,
  );
  await deployment.until(({ moves }) => moves.length === 0);
  expect(has(target, deployment.name)).toBe(true);
  expect((await harness.scheduling.rebalance({})).moves).toEqual([]);
});
