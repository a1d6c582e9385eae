import { parse } from "yaml";

/** When a service may start. */
export type DependencyCondition = "service_started" | "service_healthy" | "service_completed_successfully";

/** A published port. */
export interface PublishedPort {
  readonly hostIp: string;
  readonly containerPort: number;
}

/** A volume in a container. */
export interface VolumeMount {
  readonly volume: string;
  readonly path: string;
  readonly readOnly: boolean;
}

/** One service, every key of it. */
export interface Service {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[] | undefined;
  readonly entrypoint: readonly string[] | undefined;
  readonly init: boolean;
  readonly restart: string;
  readonly dependsOn: Readonly<Record<string, DependencyCondition>>;
  readonly volumes: readonly VolumeMount[];
  readonly ports: readonly PublishedPort[];
  readonly capDrop: readonly string[];
  readonly securityOpt: readonly string[];
}

/** A compose file as far as ours goes. */
export interface ComposeFile {
  /** In an order in which each comes after those it depends on. */
  readonly services: readonly Service[];
  readonly volumes: readonly string[];
}

interface RawService {
  readonly image: string;
  readonly command?: string[];
  readonly entrypoint?: string[];
  readonly init?: boolean;
  readonly restart?: string;
  readonly networks: string[];
  readonly depends_on?: Record<string, { readonly condition: DependencyCondition }>;
  readonly volumes?: string[];
  readonly ports?: string[];
  readonly cap_drop?: string[];
  readonly security_opt?: string[];
}

interface RawFile {
  readonly services: Record<string, RawService>;
  readonly networks: Record<string, unknown>;
  readonly volumes: Record<string, unknown>;
}

const FILE_KEYS = ["name", "services", "networks", "volumes"];
const SERVICE_KEYS = [
  "image",
  "command",
  "entrypoint",
  "init",
  "restart",
  "networks",
  "depends_on",
  "volumes",
  "ports",
];
const SECURITY_KEYS = ["cap_drop", "security_opt"];

/** Reads a compose file. Fails on a key it does not know, so that nothing of the file goes untested unnoticed. */
export function readComposeFile(text: string): ComposeFile {
  const file: RawFile = parse(text, { merge: true });
  assertKeys("the file", file, FILE_KEYS);
  const names = Object.keys(file.volumes);
  const services = Object.entries(file.services).map(([name, raw]) => readService(name, raw, names));
  return { services: inStartOrder(services), volumes: names };
}

function readService(name: string, raw: RawService, volumes: readonly string[]): Service {
  assertKeys(name, raw, [...SERVICE_KEYS, ...SECURITY_KEYS]);
  const dependencies = Object.entries(raw.depends_on ?? {});
  return {
    name,
    image: raw.image,
    command: raw.command,
    entrypoint: raw.entrypoint,
    init: raw.init ?? false,
    restart: raw.restart ?? "no",
    dependsOn: Object.fromEntries(dependencies.map(([other, { condition }]) => [other, condition])),
    volumes: (raw.volumes ?? []).map((mount) => readMount(name, mount, volumes)),
    ports: (raw.ports ?? []).map((port) => readPort(name, port)),
    capDrop: raw.cap_drop ?? [],
    securityOpt: raw.security_opt ?? [],
  };
}

function readMount(service: string, text: string, known: readonly string[]): VolumeMount {
  const [volume = "", path = "", mode = "rw"] = text.split(":");
  if (!known.includes(volume)) throw new Error(`${service} mounts ${text}, which is no volume of the file`);
  return { volume, path, readOnly: mode === "ro" };
}

function readPort(service: string, text: string): PublishedPort {
  const match = /^([\d.]+):\d+:(\d+)$/.exec(text);
  if (match?.[1] === undefined) throw new Error(`${service} publishes ${text}; expected ip:port:port`);
  return { hostIp: match[1], containerPort: Number(match[2]) };
}

function inStartOrder(services: readonly Service[]): Service[] {
  const ordered: Service[] = [];
  while (ordered.length < services.length) {
    const started = new Set(ordered.map(({ name }) => name));
    const next = services.find(
      ({ name, dependsOn }) => !started.has(name) && Object.keys(dependsOn).every((other) => started.has(other)),
    );
    if (next === undefined) throw new Error("services depend on each other in a circle, or on one that is not there");
    ordered.push(next);
  }
  return ordered;
}

function assertKeys(where: string, value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).filter((key) => !known.includes(key) && !key.startsWith("x-"));
  if (unknown.length > 0) throw new Error(`${where} has keys this test does not act on: ${unknown.join(", ")}`);
}
