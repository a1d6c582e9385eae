import { tmpdir } from "node:os";
import { join } from "node:path";
import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { newId, systemClock } from "@kedge/kernel";
import {
  HeartbeatSchema,
  JobState,
  NodeSchema,
  PipelineSpecSchema,
  type Run,
  RunSchema,
  RuntimeKind,
  TaskState,
} from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DeploymentWriter } from "../deployments/apply.ts";
import { Artifacts } from "../files/artifacts.ts";
import { ModelRegistry } from "../models/registry.ts";
import { AssignmentWriter } from "../nodes/assignment-writer.ts";
import { CapacityBook } from "../nodes/capacity-book.ts";
import { NodeRegistry } from "../nodes/registry.ts";
import { Scheduling } from "../scheduling/scheduling.ts";
import { JobSecrets } from "../secrets/job-secrets.ts";
import { KeyFile } from "../secrets/key-file.ts";
import { SecretVault } from "../secrets/secret-vault.ts";
import { eventually } from "../testing/eventually.ts";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { CallJobs } from "./call-jobs.ts";
import { DeployJobs } from "./deploy-jobs.ts";
import { Dispatcher } from "./dispatch.ts";
import { TaskInbox } from "./inbox.ts";
import { newRun } from "./new-run.ts";
import { NotifyJobs } from "./notify-jobs.ts";
import { RunGroups } from "./run-groups.ts";
import { RunReconciler } from "./run-reconciler.ts";
import { Submissions } from "./submission.ts";

const clock = systemClock;

let world: TestStores;
let isLeader: boolean;
let book: CapacityBook;
let scheduling: Scheduling;
let reconciler: RunReconciler;

beforeEach(async () => {
  world = await startTestStores();
  isLeader = true;
  const { stores, events, bus, signer } = world;
  const registry = new NodeRegistry(stores, clock);
  const what = { capacity: { cpuMilli: 1000 }, runtimes: [RuntimeKind.PROCESS], agentVersion: "test" };
  await stores.nodes.create("n1", create(NodeSchema, { id: "n1", ...what }));
  registry.heartbeat(create(HeartbeatSchema, { nodeId: "n1", ...what, bootId: "boot-1", sequence: 1n }));
  book = new CapacityBook(stores, registry);
  book.load();
  scheduling = new Scheduling({ stores, book, clock, onPass: () => {} });
  const models = new ModelRegistry(stores, clock, events);
  const vault = new SecretVault({ stores, keyFile: new KeyFile(join(tmpdir(), "none", "secrets.key")), clock });
  const secrets = new JobSecrets({ stores, registry, vault });
  const artifacts = new Artifacts({ stores, clock });
  const submissions = new Submissions({
    ...{ stores, vault, clock },
    store: (run) => reconciler.submit(run),
    touch: () => {},
  });
  reconciler = new RunReconciler({
    stores,
    artifacts,
    book,
    registry,
    models,
    scheduling,
    groups: new RunGroups(stores.runs, () => {}),
    events,
    clock,
    dispatcher: new Dispatcher({ bus, signer, clock, controllerAddress: () => "", secrets, artifacts }),
    assignments: new AssignmentWriter(stores),
    deployJobs: new DeployJobs(stores, new DeploymentWriter({ stores, models, clock, events })),
    callJobs: new CallJobs({ stores, submissions: () => submissions, touch: () => {} }),
    notifyJobs: new NotifyJobs({ stores, clock, touch: () => {} }),
    inbox: new TaskInbox(),
    isLeader: () => isLeader,
    metrics: () => undefined,
  });
  stores.runs.onChange((runId) => scheduling.follow(runId));
  scheduling.start(() => {});
});
afterEach(async () => {
  scheduling.stop();
  await world.stop();
});

function runOf(cpuMilli: number): Run {
  const work = { case: "steps" as const, value: { steps: [{ name: "go" }] } };
  const spec = create(PipelineSpecSchema, { name: "p", jobs: [{ name: "work", resources: { cpuMilli }, work }] });
  const who = { parameters: {}, source: undefined, submittedBy: "me", team: "default", idempotencyKey: "", labels: {} };
  return newRun({ id: newId(clock), spec, ...who, nowMs: clock.now() });
}

const stored = (runId: string): Run => world.stores.runs.get(runId)?.value as Run;

/** Ends the run's job in its document, as a reconciliation does with the agent's word. */
async function end(runId: string): Promise<void> {
  const document = world.stores.runs.get(runId);
  if (document === undefined) throw new Error("the run is not stored");
  const ended = clone(RunSchema, document.value);
  const [job] = ended.jobs;
  const [task] = job?.tasks ?? [];
  if (job === undefined || task === undefined) throw new Error("the run has no task");
  job.state = JobState.SUCCEEDED;
  task.state = TaskState.SUCCEEDED;
  task.finishedAt = timestampFromMs(clock.now());
  await world.stores.runs.update(runId, ended, document.revision);
}

test("what was decided while the lease was held is not written after it was lost, and its room is free again", async () => {
  const first = await reconciler.submit(runOf(1000));
  expect(first.jobs[0]?.state).toBe(JobState.OFFERED);
  const { id } = await reconciler.submit(runOf(600));
  expect(stored(id).jobs[0]?.state).toBe(JobState.PENDING);
  await end(first.id);
  await eventually(() => scheduling.hasNews(id), Boolean);

  isLeader = false;
  await expect(reconciler.reconcile(id)).rejects.toMatchObject({ reason: "NOT_LEADER" });
  expect(stored(id).jobs[0]).toMatchObject({ state: JobState.PENDING, tasks: [] });
  expect(book.cluster.reservationsOn("n1")).toEqual([]);
  await expect(reconciler.submit(runOf(300))).rejects.toMatchObject({ reason: "NOT_LEADER" });
  expect(book.cluster.reservationsOn("n1")).toEqual([]);
});

test("a decision that lost the race for its document is made again from the newer one", async () => {
  const first = await reconciler.submit(runOf(1000));
  const { id } = await reconciler.submit(runOf(600));
  await end(first.id);
  await eventually(() => scheduling.hasNews(id), Boolean);
  const before = world.stores.runs.get(id);
  if (before === undefined) throw new Error("the run is not stored");
  const cancelled = { ...clone(RunSchema, before.value), cancelRequested: true };
  // Somebody cancels while the reconciler writes.
  const [outcome] = await Promise.allSettled([
    reconciler.reconcile(id),
    world.stores.runs.update(id, cancelled, before.revision),
  ]);
  if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ reason: "CONFLICT" });
  await eventually(
    () => reconciler.reconcile(id).then(() => stored(id).jobs[0]?.state),
    (state) => state === JobState.CANCELLED || state === JobState.OFFERED,
  );
  const isOffered = stored(id).jobs[0]?.state === JobState.OFFERED;
  expect(book.cluster.reservationsOn("n1").map(({ key }) => key)).toEqual(isOffered ? [`${id}-work-1`] : []);
});
