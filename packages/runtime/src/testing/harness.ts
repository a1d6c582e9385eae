import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock as clock, silentLogger as logger } from "@kedge/kernel";
import { connectDocker } from "../docker/connect.ts";
import { createImageStore } from "../docker/docker-images.ts";
import { createDockerRuntime } from "../docker/docker-runtime.ts";
import { buildHostBaseImage } from "../host-base-image.ts";
import { createProcessRuntime } from "../process/process-runtime.ts";
import type { LogOffset, Runtime, WorkloadSpec } from "../runtime.ts";

/** Never aborts. */
export const forever: AbortSignal = new AbortController().signal;
/** The engine of this machine. */
export const docker = connectDocker();
/** Its images. */
export const images = createImageStore({ docker });
/** An image with busybox in it and nothing else, of this test process alone. */
export const BASE_IMAGE = `kedge-runtime-test/base:${process.pid}`;

/** A runtime under test. */
export interface Harness {
  readonly runtime: Runtime;
  /** What a second agent would be given: "docker" and the instance, or "process" and the folder. */
  readonly place: readonly [kind: string, place: string];
  /** Another object on the same workloads, as a restarted agent makes it. */
  reopen(): Runtime;
  /** A spec that runs a shell script. */
  script(id: string, text: string, more?: Partial<WorkloadSpec>): WorkloadSpec;
  close(): Promise<void>;
}

/** A process runtime on a fresh folder. */
export async function processHarness(): Promise<Harness> {
  const dir = await temporaryFolder();
  const reopen = (): Runtime => createProcessRuntime({ dir, clock, logger });
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
export async function dockerHarness(): Promise<Harness> {
  await buildHostBaseImage({ images, tag: BASE_IMAGE, programs: ["busybox"] });
  const instance = `test-${process.pid}`;
  const reopen = (): Runtime => createDockerRuntime({ docker: connectDocker(), instance, clock, logger });
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
      // A cancelled build may hold it for a moment.
      await eventually("the base image's removal", () => images.remove(BASE_IMAGE).then(() => true));
    },
  };
}

async function removeAll(runtime: Runtime): Promise<void> {
  for (const { id } of await runtime.list({})) await runtime.remove(id);
}

/** A folder for one test file; remove it. */
export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "kedge-runtime-"));
}

/** All output of a workload, from an offset on, once it has ended. */
export async function output(runtime: Runtime, id: string, fromOffset?: LogOffset) {
  const bytes: Record<"stdout" | "stderr", Uint8Array[]> = { stdout: [], stderr: [] };
  for await (const { stream, data } of runtime.logs(id, { signal: forever, ...(fromOffset ? { fromOffset } : {}) })) {
    bytes[stream].push(data);
  }
  return { stdout: Buffer.concat(bytes.stdout).toString(), stderr: Buffer.concat(bytes.stderr).toString() };
}

/** Asks again until there is an answer other than undefined or an error; fails with the last thing it saw. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = clock.monotonic() + 20_000;
  let last: unknown;
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
