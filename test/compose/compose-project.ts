import "./no-reaper.ts";
import { randomBytes } from "node:crypto";
import Docker from "dockerode";
import { GenericContainer, Network, type StartedNetwork, type StartedTestContainer, Wait } from "testcontainers";
import type { ComposeFile, Service } from "./compose-file.ts";

/** Carried by everything a project makes; its value is the project's id. */
export const PROJECT_LABEL = "kedge.test.compose";
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_S = 20;

/** What Docker holds of a project. */
export interface Leftovers {
  readonly containers: number;
  readonly volumes: number;
  readonly networks: number;
}

/**
 * Brings a compose file up as `docker compose up --wait` does, with three differences: its volumes and containers have
 * names of their own, host ports are free ones, and several projects may run at once.
 */
export class ComposeProject {
  readonly id = randomBytes(4).toString("hex");
  readonly #file: ComposeFile;
  readonly #docker = new Docker();
  readonly #started = new Map<string, StartedTestContainer>();
  #network: StartedNetwork | undefined;
  #networkName = "";

  constructor(file: ComposeFile) {
    this.#file = file;
  }

  /** A service that is up. */
  container(service: string): StartedTestContainer {
    const container = this.#started.get(service);
    if (container === undefined) throw new Error(`service ${service} is not up`);
    return container;
  }

  /** Resolves when every service runs, is healthy or has ended well; fails with the end of a service's output. */
  async up(): Promise<void> {
    const labels = { [PROJECT_LABEL]: this.id };
    for (const volume of this.#file.volumes) {
      await this.#docker.createVolume({ Name: this.#volumeName(volume), Labels: labels });
    }
    this.#network = await new Network().start();
    this.#networkName = this.#network.getName();
    const starts = new Map<string, Promise<void>>();
    for (const service of this.#file.services) {
      const before = Object.keys(service.dependsOn).map((name) => starts.get(name));
      starts.set(
        service.name,
        Promise.all(before).then(() => this.#start(service)),
      );
    }
    const results = await Promise.allSettled(starts.values());
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** Stops and removes everything, also after a failed `up`. May be called twice. */
  async down(): Promise<void> {
    const inOrder = [...this.#file.services].reverse().map(({ name }) => this.#started.get(name));
    this.#started.clear();
    for (const container of inOrder) {
      await container?.stop({ timeout: STOP_TIMEOUT_S * 1000, remove: true, removeVolumes: true });
    }
    const filters = { label: [`${PROJECT_LABEL}=${this.id}`] };
    for (const { Id } of await this.#docker.listContainers({ all: true, filters })) {
      await this.#docker.getContainer(Id).remove({ force: true, v: true });
    }
    for (const volume of this.#file.volumes) {
      await this.#docker.getVolume(this.#volumeName(volume)).remove({ force: true });
    }
    await this.#network?.stop();
    this.#network = undefined;
  }

  /** What is there of this project now. */
  async leftovers(): Promise<Leftovers> {
    const filters = { label: [`${PROJECT_LABEL}=${this.id}`] };
    const containers = await this.#docker.listContainers({ all: true, filters });
    const { Volumes } = await this.#docker.listVolumes({ filters });
    const networks = (await this.#docker.listNetworks()).filter(({ Name }) => Name === this.#networkName);
    return { containers: containers.length, volumes: Volumes?.length ?? 0, networks: networks.length };
  }

  #volumeName(volume: string): string {
    return `kedge-test-${this.id}-${volume}`;
  }

  async #start(service: Service): Promise<void> {
    if (this.#network === undefined) throw new Error("the network is not up");
    const lines: string[] = [];
    const isOneShot = this.#conditionOf(service.name) === "service_completed_successfully";
    const container = new ServiceContainer(service)
      .withNetwork(this.#network)
      .withNetworkAliases(service.name)
      .withLabels({ [PROJECT_LABEL]: this.id })
      .withBindMounts(
        service.volumes.map(({ volume, path, readOnly }) => ({
          source: this.#volumeName(volume),
          target: path,
          mode: readOnly ? "ro" : "rw",
        })),
      )
      .withStartupTimeout(START_TIMEOUT_MS)
      .withWaitStrategy(isOneShot ? Wait.forOneShotStartup() : Wait.forHealthCheck())
      .withLogConsumer((stream) => stream.on("data", (chunk) => lines.push(String(chunk))));
    try {
      this.#started.set(service.name, await container.start());
    } catch (cause) {
      throw new Error(`service ${service.name} did not come up: ${lines.slice(-10).join("")}`, { cause });
    }
  }

  /** What others wait for; services that nobody waits for must become healthy. */
  #conditionOf(name: string): string {
    const conditions = this.#file.services.map(({ dependsOn }) => dependsOn[name]);
    return conditions.find((condition) => condition !== undefined) ?? "service_healthy";
  }
}

/** A container with the settings of a service that testcontainers has no method for. */
class ServiceContainer extends GenericContainer {
  readonly #service: Service;

  constructor(service: Service) {
    super(service.image);
    this.#service = service;
    this.withDroppedCapabilities(...service.capDrop).withSecurityOpt(...service.securityOpt);
    this.withExposedPorts(...service.ports.map(({ containerPort }) => containerPort));
    if (service.command !== undefined) this.withCommand([...service.command]);
    if (service.entrypoint !== undefined) this.withEntrypoint([...service.entrypoint]);
  }

  protected override async beforeContainerCreated(): Promise<void> {
    const { init, restart, ports } = this.#service;
    this.hostConfig.Init = init;
    this.hostConfig.RestartPolicy = { Name: restart };
    const bindings = ports.map(({ hostIp, containerPort }) => [
      `${containerPort}/tcp`,
      [{ HostIp: hostIp, HostPort: "" }],
    ]);
    this.hostConfig.PortBindings = Object.fromEntries(bindings);
  }
}
