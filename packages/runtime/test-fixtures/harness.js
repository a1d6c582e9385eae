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
/** Never aborts. */
export const forever = new AbortController().signal;
/** The engine of this machine. */
export const docker = connectDocker();
export const images = createImageStore({ docker });
/** An image with busybox in it and nothing else, of this test process alone. */
export const BASE_IMAGE = `kedge-runtime-test/base:${process.pid}`;
/** A process runtime on a fresh folder. */
export async function processHarness() {
  const dir = await temporaryFolder();
  const reopen = () => createProcessRuntime({ dir, clock, logger });
  const runtime = reopen();
  return {
    runtime,
    place: ["process", dir],
    reopen,
    script: (id, text, more) => ({ id, labels: {}, env: {}, command: ["/bin/sh", "-c", text], ...more }),
    close: async () => {
      await removeAll(runtime);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
/** A Docker runtime with an instance of its own, and the base image. */
export async function dockerHarness() {
  await buildHostBaseImage({ images, tag: BASE_IMAGE, programs: ["busybox"] });
  const instance = `test-${process.pid}`;
  const reopen = () => createDockerRuntime({ docker: connectDocker(), instance, clock, logger });
  const runtime = reopen();
  return {
    runtime,
    place: ["docker", instance],
    reopen,
    script: (id, text, more) => ({
      id,
      labels: {},
      env: {},
      image: BASE_IMAGE,
      command: ["/bin/sh", "-c", text],
      ...more,
    }),
    close: async () => {
      await removeAll(runtime);
      await images.remove(BASE_IMAGE);
    },
  };
}
async function removeAll(runtime) {
  for (const { id } of await runtime.list({})) await runtime.remove(id);
}
/** A folder for one test file; remove it. */
export function temporaryFolder() {
  return mkdtemp(join(tmpdir(), "kedge-runtime-"));
}
/** All output of a workload, from an offset on, once it has ended. */
export async function output(runtime, id, fromOffset) {
  const text = { stdout: "", stderr: "" };
  for await (const { stream, data } of runtime.logs(id, { signal: forever, ...(fromOffset ? { fromOffset } : {}) })) {
    text[stream] += Buffer.from(data).toString("latin1");
  }
  return text;
}
/** Asks again until there is an answer other than undefined or an error; fails with the last thing it saw. */
export async function eventually(what, ask) {
  const deadline = clock.monotonic() + 20_000;
  let last;
  while (clock.monotonic() < deadline) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await clock.sleep(20);
  }
  throw new Error(`${what}: not in 20 s, last seen: ${String(last)}`);
}
//# sourceMappingURL=harness.js.map
