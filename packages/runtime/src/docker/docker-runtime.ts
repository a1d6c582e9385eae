import type { Readable } from "node:stream";
import { isKedgeError, KedgeError } from "@kedge/domain";
import { RuntimeKind } from "@kedge/proto";
import type { Container, ContainerInspectInfo } from "dockerode";
import { exitOf } from "../exit-code.ts";
import type { Exit, LogChunk, LogOptions, Runtime, Workload, WorkloadSpec } from "../runtime.ts";
import { assertWorkloadId } from "../workload-id.ts";
import {
  asksForGpus,
  containerName,
  containerOptions,
  INSTANCE_LABEL,
  publishedPort,
  WORKLOAD_LABEL,
} from "./container-spec.ts";
import { callDocker, dockerStatus, mapDockerError } from "./docker-error.ts";
import { demultiplex } from "./docker-logs.ts";
import { type DockerRuntimeOptions, type ResolvedDockerOptions, resolveDockerOptions } from "./docker-options.ts";
import { pullImage } from "./image-transfer.ts";

const APPEAR_MS = 5_000;
const APPEAR_POLL_MS = 20;

/** Runs workloads as containers of one Docker Engine. What it starts is found again by name and label alone. */
export function createDockerRuntime(options: DockerRuntimeOptions): Runtime {
  return new DockerRuntime(resolveDockerOptions(options));
}

class DockerRuntime implements Runtime {
  readonly kind = RuntimeKind.DOCKER;
  readonly #options: ResolvedDockerOptions;

  constructor(options: ResolvedDockerOptions) {
    this.#options = options;
  }

  async start(spec: WorkloadSpec, signal: AbortSignal = new AbortController().signal): Promise<Workload> {
    assertWorkloadId(spec.id);
    signal.throwIfAborted();
    const container = await this.#create(spec, signal);
    if (container === undefined) return this.#adopt(spec);
    await this.#startContainer(container, spec);
    if (spec.publish !== undefined) return workload(await this.#inspect(spec.id));
    return { id: spec.id, labels: spec.labels, state: "running", startedAtMs: this.#options.clock.now() };
  }

  async list(labels: Readonly<Record<string, string>>): Promise<readonly Workload[]> {
    const label = Object.entries({ ...labels, [INSTANCE_LABEL]: this.#options.instance });
    const filters = { label: label.map(([key, value]) => `${key}=${value}`) };
    const docker = this.#options.docker;
    const found = await callDocker("containers are listed", () => docker.listContainers({ all: true, filters }));
    const inspected = await Promise.all(
      (found ?? []).map(({ Id }) => callDocker("a container is read", () => docker.getContainer(Id).inspect(), [404])),
    );
    return inspected.filter((info) => info !== undefined).map(workload);
  }

  async wait(id: string, signal: AbortSignal): Promise<Exit> {
    const container = this.#container(id);
    await callDocker(`workload ${id} is waited for`, () => container.wait({ abortSignal: signal }));
    const { exit } = workload(await this.#inspect(id));
    if (exit !== undefined) return exit;
    throw new KedgeError("CONFLICT", `workload ${id} was started again while it was waited for`);
  }

  async *logs(id: string, options: LogOptions): AsyncGenerator<LogChunk> {
    const { signal, fromOffset = { stdout: 0, stderr: 0 } } = options;
    const doing = `the logs of workload ${id} are read`;
    let stream: Readable | undefined;
    try {
      const query = { follow: true, stdout: true, stderr: true, abortSignal: signal } as const;
      stream = (await this.#container(id).logs(query)) as Readable;
      yield* demultiplex(stream, fromOffset);
    } catch (error) {
      signal.throwIfAborted();
      throw mapDockerError(error, doing);
    } finally {
      stream?.destroy();
    }
    signal.throwIfAborted();
  }

  async stop(id: string, graceMs: number): Promise<void> {
    const t = Math.ceil(graceMs / 1000);
    await callDocker(`workload ${id} is stopped`, () => this.#container(id).stop({ t }), [304]);
  }

  async remove(id: string): Promise<void> {
    const container = this.#container(id);
    const doing = `workload ${id} is removed`;
    try {
      await container.remove({ force: true, v: true });
    } catch (error) {
      if (dockerStatus(error) === 404) return;
      if (dockerStatus(error) !== 409) throw mapDockerError(error, doing);
      // Somebody else is removing it at this moment.
      await callDocker(doing, () => container.wait({ condition: "removed" }), [404]);
    }
  }

  #container(id: string): Container {
    assertWorkloadId(id);
    return this.#options.docker.getContainer(containerName(this.#options.instance, id));
  }

  /** A container that exists. One that was never started had its agent killed in between: it is started now. */
  async #adopt(spec: WorkloadSpec): Promise<Workload> {
    const known = await this.#firstInspect(spec.id);
    if (known.State.Status !== "created" || known.State.ExitCode !== 0) return workload(known);
    await this.#startContainer(this.#container(spec.id), spec);
    return workload(await this.#inspect(spec.id));
  }

  /** The engine takes a name a moment before the container can be read. */
  async #firstInspect(id: string): Promise<ContainerInspectInfo> {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + APPEAR_MS;
    for (;;) {
      try {
        return await this.#inspect(id);
      } catch (error) {
        if (!isKedgeError(error, "INVALID_FIELD") || clock.monotonic() > deadline) throw error;
        await clock.sleep(APPEAR_POLL_MS);
      }
    }
  }

  /** Undefined when a container of this name exists. */
  async #create(spec: WorkloadSpec, signal: AbortSignal): Promise<Container | undefined> {
    const options = containerOptions(spec, this.#options);
    const { docker } = this.#options;
    const create = () => docker.createContainer(options);
    const pull = () =>
      pullImage(docker, spec.image ?? "", { signal, ...(spec.logins === undefined ? {} : { logins: spec.logins }) });
    if (spec.pull === "always" && !(await this.#exists(spec.id))) await pull();
    try {
      return await create();
    } catch (error) {
      if (dockerStatus(error) !== 404) return this.#nameTaken(error, spec.id);
    }
    await pull();
    try {
      return await create();
    } catch (error) {
      return this.#nameTaken(error, spec.id);
    }
  }

  async #exists(id: string): Promise<boolean> {
    const info = await callDocker(`workload ${id} is read`, () => this.#container(id).inspect(), [404]);
    return info !== undefined;
  }

  #nameTaken(error: unknown, id: string): undefined {
    if (dockerStatus(error) !== 409) throw mapDockerError(error, `workload ${id} is created`);
    return undefined;
  }

  async #startContainer(container: Container, spec: WorkloadSpec): Promise<void> {
    try {
      await container.start();
    } catch (error) {
      if (dockerStatus(error) === 304) return; // started by a concurrent call
      const info = await callDocker("a container is read", () => container.inspect(), [404]);
      // The command is not there or is no program: the workload's own failure, as in a shell.
      if (info !== undefined && (info.State.ExitCode === 127 || info.State.ExitCode === 126)) return;
      await this.remove(spec.id);
      throw startError(error, spec);
    }
  }

  async #inspect(id: string): Promise<ContainerInspectInfo> {
    const info = await callDocker(`workload ${id} is read`, () => this.#container(id).inspect(), [404]);
    if (info?.Config.Labels[INSTANCE_LABEL] === this.#options.instance) return info;
    throw new KedgeError("INVALID_FIELD", `no workload ${id} is known`, { field: "id" });
  }
}

/** Only a request for GPUs makes the engine look for a device driver; without one it answers 500 at the start. */
function startError(error: unknown, spec: WorkloadSpec): KedgeError {
  const doing = `workload ${spec.id} is started`;
  if (!asksForGpus(spec) || dockerStatus(error) !== 500) return mapDockerError(error, doing);
  return new KedgeError("UNSUPPORTED_PLATFORM", `${doing}: the engine could not give it a GPU`, {
    cause: error,
    field: "gpus",
    hint: "install the NVIDIA driver and container toolkit on the node",
  });
}

function workload(info: ContainerInspectInfo): Workload {
  const { State: state } = info;
  const labels = info.Config.Labels;
  const base = {
    id: labels[WORKLOAD_LABEL] ?? "",
    labels,
    startedAtMs: Date.parse(state.StartedAt.startsWith("0001") ? info.Created : state.StartedAt),
  };
  // A container that could not be started keeps the status "created" and has a code.
  const ended = state.Status === "exited" || state.Status === "dead" || (state.ExitCode !== 0 && !state.Running);
  if (ended) {
    const finishedAtMs = Date.parse(state.FinishedAt.startsWith("0001") ? info.Created : state.FinishedAt);
    return { ...base, state: "exited", exit: exitOf(state.ExitCode, finishedAtMs, state.OOMKilled) };
  }
  const port = publishedPort(labels);
  const hostPort = port === undefined ? undefined : info.NetworkSettings.Ports[`${port}/tcp`]?.[0]?.HostPort;
  return {
    ...base,
    state: "running",
    ...(state.Pid > 0 ? { pid: state.Pid } : {}),
    ...(hostPort === undefined ? {} : { hostPort: Number(hostPort) }),
  };
}
