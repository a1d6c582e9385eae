import { join } from "node:path";
import { type Bus, connectBus, openAuthority, subjects } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import { RunService, RunState, TaskState } from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

const WORK = "name: p\njobs:\n  work:\n    resources: { cpu: 4 }\n    steps: [{ name: go, run: 'true' }]\n";

let harness: ControllerHarness;
let agent: ScriptedAgent;
let bus: Bus;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
  const authority = await openAuthority(join(harness.dir, "authority"), { hosts: [] });
  const credentials = await authority.controllerCredentials();
  const server = { servers: [harness.controller.natsAddress], caPem: authority.caPem, name: "usurper" };
  const options = { ...server, ...credentials, clock: systemClock, logger: silentLogger };
  bus = await connectBus(options, new AbortController().signal);
});
afterAll(async () => {
  await bus?.close();
  await harness.stop();
});

/** Takes the lease as another controller would that fell silent at once. */
async function takeLease(): Promise<void> {
  const lease = { holder: "another controller", renewals: 1, ttlMs: 1 };
  await bus.jetstream.publish(subjects.kv("leases", "controller"), JSON.stringify(lease));
}

test("between two terms changes are refused and reads answered; what happened meanwhile counts in the next", async () => {
  agent.script = () => undefined;
  const { id } = await harness.submit(WORK);
  await harness.until(id, (run) => run.jobs[0]?.tasks[0]?.state === TaskState.RUNNING);
  const waiting = await harness.submit(WORK);
  const ref = agent.offers.at(-1)?.ref;
  if (ref === undefined) throw new Error("no offer was taken");

  await takeLease();
  const client = harness.client(RunService);
  const refused = () => client.cancelRun({ runId: "no-such-run" }).catch((error: unknown) => error);
  await eventually(refused, (error) => (error as { reason?: string }).reason === "NOT_LEADER");
  expect((await client.getRun({ runId: id })).run?.state).toBe(RunState.RUNNING);
  agent.script = () => ({ state: TaskState.SUCCEEDED });
  await agent.finish(ref, { state: TaskState.SUCCEEDED });

  // The run that had no room when the lease went gets it in the next term.
  expect((await harness.until(id)).state).toBe(RunState.SUCCEEDED);
  expect((await harness.until(waiting.id)).state).toBe(RunState.SUCCEEDED);
  expect(agent.offers.map((offer) => offer.ref?.runId)).toEqual([id, waiting.id]);
  expect((await harness.until((await harness.submit(WORK)).id)).state).toBe(RunState.SUCCEEDED);
}, 60_000);
