import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  consumeTaskEvents,
  offerTask,
  openStore,
  putChunk,
  readLogs,
  type Store,
  startTestBus,
  type TestBus,
} from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import {
  AssignmentSchema,
  type JobSpecSchema,
  type JobState,
  RouteSchema,
  StepListSchema,
  type StepStatus,
  type TaskEvent,
  type TaskFinished,
  type TaskOffer,
  TaskOfferSchema,
} from "@kedge/proto";
import type { AgentOptions } from "../config.ts";
import { saveIdentity } from "../identity/node-identity.ts";
import { writeFileAtomic } from "../state/atomic-file.ts";

/** Main script of the model server, as the agent of this repository starts it. */
export const MODEL_SERVER_ENTRY = resolve(import.meta.dirname, "../../../model-server/src/main.ts");

type Steps = MessageInitShape<typeof StepListSchema>["steps"];
type JobInit = Omit<MessageInitShape<typeof JobSpecSchema>, "$typeName" | "work">;

/** The controller's side of one node, on a real NATS server. */
export class ControllerFixture {
  readonly testBus: TestBus;
  readonly nodeId: string;
  readonly dataDir: string;
  readonly events: TaskEvent[] = [];
  readonly assignments: Store<typeof AssignmentSchema>;
  readonly routes: Store<typeof RouteSchema>;
  readonly #abort = new AbortController();
  #collecting: Promise<void> = Promise.resolve();

  private constructor(testBus: TestBus, nodeId: string, dataDir: string) {
    this.testBus = testBus;
    this.nodeId = nodeId;
    this.dataDir = dataDir;
    const { bus, authority } = testBus;
    const { signer } = authority;
    const assignments = { signer, audience: (key: string) => key };
    this.assignments = openStore(bus, { bucket: "assignments", schema: AssignmentSchema, signing: assignments });
    this.routes = openStore(bus, { bucket: "routes", schema: RouteSchema, signing: { signer, audience: () => "*" } });
  }

  /** A NATS server, and the data folder of a node that has joined it. */
  static async start(nodeId: string): Promise<ControllerFixture> {
    const testBus = await startTestBus();
    const dataDir = await mkdtemp(join(tmpdir(), "kedge-agent-"));
    const fixture = new ControllerFixture(testBus, nodeId, dataDir);
    await fixture.#open();
    return fixture;
  }

  async #open(): Promise<void> {
    const { testBus, nodeId, dataDir } = this;
    const node = await testBus.connectNode(nodeId);
    await node.bus.close();
    await writeFileAtomic(join(dataDir, "node.nk"), node.seed);
    await saveIdentity(dataDir, {
      nodeId,
      publicKey: node.publicKey,
      natsJwt: node.jwt,
      natsServers: [testBus.nats.address],
      caPem: testBus.authority.caPem,
      controllerKey: testBus.authority.signer.publicKey,
      labels: {},
    });
    await Promise.all([this.assignments.start(this.#abort.signal), this.routes.start(this.#abort.signal)]);
    const onEvents = (events: TaskEvent[]): Promise<void> => {
      this.events.push(...events);
      return Promise.resolve();
    };
    this.#collecting = consumeTaskEvents(testBus.bus, { durable: "test-events", onEvents }, this.#abort.signal);
  }

  options(more: Partial<AgentOptions> = {}): AgentOptions {
    const { dataDir } = this;
    const capacity = { gpus: [], memoryMib: 1024 };
    return {
      ...{ dataDir, modelServerEntry: MODEL_SERVER_ENTRY, runtimes: ["process"], capacity },
      logger: silentLogger,
      ...more,
    };
  }

  offer(taskId: string, steps: Steps, job: JobInit = {}): TaskOffer {
    const ref = { nodeId: this.nodeId, taskId, fence: 1, runId: "run1", job: taskId };
    const work = { case: "steps" as const, value: create(StepListSchema, { steps: steps ?? [] }) };
    return create(TaskOfferSchema, { ref, job: { name: taskId, ...job, work }, leaseSeconds: 30 });
  }

  /** Offers a task and resolves with its end. */
  async run(taskId: string, steps: Steps, job: JobInit = {}): Promise<TaskFinished> {
    await offerTask(this.testBus.bus, this.testBus.authority.signer, this.offer(taskId, steps, job));
    return this.finished(taskId);
  }

  async finished(taskId: string): Promise<TaskFinished> {
    return waitFor(
      () => this.of(taskId).flatMap(({ event }) => (event.case === "finished" ? [event.value] : []))[0],
      () => `${taskId}: ${this.of(taskId).map(({ event }) => event.case)}`,
    );
  }

  of(taskId: string): TaskEvent[] {
    return this.events.filter(({ ref }) => ref?.taskId === taskId);
  }

  /** The last that was told of each step of a task, on its own or with the end. */
  steps(taskId: string): StepStatus[] {
    const told = this.of(taskId).flatMap(({ event }) => {
      if (event.case === "step") return [event.value];
      return event.case === "finished" ? event.value.steps : [];
    });
    return [...new Map(told.map((status) => [status.name, status])).values()];
  }

  /** The states of a task's steps by their names. */
  stepStates(taskId: string): Record<string, JobState> {
    return Object.fromEntries(this.steps(taskId).map(({ name, state }) => [name, state]));
  }

  /** All that a task has logged, in order; a chunk that was stored twice counts once. */
  async log(job: string): Promise<{ text: string; sequences: number[] }> {
    const chunks = new Map<number, Uint8Array>();
    const reading = readLogs(this.testBus.bus, { runId: "run1", job, follow: false }, this.#abort.signal);
    for await (const chunk of reading) chunks.set(Number(chunk.sequence), chunk.data);
    const sequences = [...chunks.keys()].sort((a, b) => a - b);
    const text = Buffer.concat(sequences.map((sequence) => chunks.get(sequence) ?? Buffer.alloc(0))).toString("utf8");
    return { text, sequences };
  }

  async putChunk(bytes: Uint8Array): Promise<string> {
    return (await putChunk(this.testBus.bus, bytes)).sha256;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#collecting;
    await this.testBus.stop();
    await endProcessesOf(this.dataDir);
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Polls until the value is there; on time-out says what was seen last. */
export async function waitFor<T>(
  read: () => T | undefined | Promise<T | undefined>,
  describe: () => string,
  timeoutMs = 8_000,
): Promise<NonNullable<T>> {
  const deadline = systemClock.monotonic() + timeoutMs;
  for (;;) {
    const value = await read();
    if (value !== undefined && value !== null && value !== false) return value;
    if (systemClock.monotonic() > deadline) throw new Error(`waited in vain; last seen: ${describe()}`);
    await systemClock.sleep(20);
  }
}

/** Ends what an agent left running on purpose: its gateway and workloads all name their folder. */
async function endProcessesOf(dataDir: string): Promise<void> {
  for (const name of await readdir("/proc")) {
    const command = /^\d+$/.test(name) ? await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "") : "";
    if (command.includes(dataDir)) end(Number(name));
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself just now.
  }
}
