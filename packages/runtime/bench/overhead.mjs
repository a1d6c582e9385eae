/**
 * What the port costs: a container step (start, all logs, wait, remove) against the engine's bare calls (create, start,
 * wait, remove, no logs), and the start of a process against a bare spawn. Both sides take turns in one run.
 *
 *   node -C kedge-source packages/runtime/bench/overhead.mjs
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock as clock, silentLogger as logger } from "@kedge/kernel";
import {
  buildHostBaseImage,
  connectDocker,
  createDockerRuntime,
  createImageStore,
  createProcessRuntime,
} from "@kedge/runtime";

const CONTAINER_ROUNDS = 20;
const PROCESS_ROUNDS = 300;
const IMAGE = "kedge-runtime-bench/base:1";
const COMMAND = ["/bin/sh", "-c", "echo done; exit 3"];
const signal = new AbortController().signal;

const docker = connectDocker();
const images = createImageStore({ docker });

await buildHostBaseImage({ images, tag: IMAGE, programs: ["busybox"] });
await benchContainers();
await images.remove(IMAGE);
await benchProcesses();

async function benchContainers() {
  const runtime = createDockerRuntime({ docker, clock, logger, instance: `bench-${process.pid}` });
  const port = async (i) => {
    const id = `step-${i}`;
    await runtime.start({ id, labels: {}, env: {}, image: IMAGE, command: COMMAND });
    let text = "";
    for await (const { data } of runtime.logs(id, { signal })) text += Buffer.from(data).toString();
    const { exitCode } = await runtime.wait(id, signal);
    await runtime.remove(id);
    assert.deepEqual([text, exitCode], ["done\n", 3]);
  };
  const bare = async () => {
    const container = await docker.createContainer({ Image: IMAGE, Cmd: COMMAND });
    await container.start();
    const { StatusCode } = await container.wait();
    await container.remove();
    assert.equal(StatusCode, 3);
  };
  report("container step", await takeTurns(CONTAINER_ROUNDS, port, bare));
  assert.deepEqual(await runtime.list({}), []);
}

async function benchProcesses() {
  const dir = await mkdtemp(join(tmpdir(), "kedge-runtime-bench-"));
  const runtime = createProcessRuntime({ dir, clock, logger });
  const ids = [];
  const children = [];
  const port = async (i) => {
    await runtime.start({ id: `p-${i}`, labels: { a: "b" }, env: {}, command: COMMAND });
    ids.push(`p-${i}`);
  };
  const bare = async () => {
    const child = spawn(COMMAND[0], COMMAND.slice(1), { detached: true, stdio: "ignore", env: {} });
    children.push(once(child, "exit"));
  };
  // The work itself ends before the next turn, so that neither side's start runs beside the other's work.
  const settle = async () => {
    for (const id of ids.splice(0)) {
      assert.equal((await runtime.wait(id, signal)).exitCode, 3);
      await runtime.remove(id);
    }
    for (const [code] of await Promise.all(children.splice(0))) assert.equal(code, 3);
  };
  report("process start", await takeTurns(PROCESS_ROUNDS, port, bare, settle));
  await rm(dir, { recursive: true });
}

async function takeTurns(rounds, port, bare, settle = async () => {}) {
  const times = { port: [], bare: [] };
  for (let i = -2; i < rounds; i++) {
    for (const [name, work] of i % 2 === 0
      ? [
          ["port", port],
          ["bare", bare],
        ]
      : [
          ["bare", bare],
          ["port", port],
        ]) {
      const before = performance.now();
      await work(i);
      if (i >= 0) times[name].push(performance.now() - before);
      await settle();
    }
  }
  return times;
}

function report(what, { port, bare }) {
  const [ours, theirs] = [median(port), median(bare)];
  console.log(
    `${what}: port ${ours.toFixed(2)} ms, bare ${theirs.toFixed(2)} ms, ratio ${(ours / theirs).toFixed(3)} (medians of ${port.length})`,
  );
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
