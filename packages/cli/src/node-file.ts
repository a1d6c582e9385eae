import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { errorMessage, KedgeError } from "@kedge/domain";
import {
  GpuRequestSchema,
  type Node,
  NodeSchema,
  NodeState,
  type ResourceRequest,
  ResourceRequestSchema,
  RuntimeKind,
} from "@kedge/proto";
import { type Cluster, createCluster } from "@kedge/scheduler";
import { parse } from "yaml";
import { compileJob } from "./demand-options.ts";

/** A node as people write it, in the words of a pipeline file. */
interface WrittenNode {
  readonly id: string;
  readonly count?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly string[];
  readonly resources?: object;
  readonly reserved?: object;
}

const WRITTEN = ["id", "count", "labels", "taints", "resources", "reserved"];
const EXAMPLE = "write e.g. [{ id: gpu-1, resources: { cpu: 64, memory: 256Gi, gpu: { count: 8, memory: 40Gi } } }]";
const MAX_NODES = 20_000;

/**
 * The nodes of a file: what `kedge get nodes --json` prints, or a list written by hand, in YAML or JSON. A written node has
 * an id, what it has under `resources` and what is taken under `reserved`, both as in a pipeline file, `labels` and
 * `taints`; `count` makes so many, id-1, id-2 and on.
 *
 * @throws KedgeError INVALID_OPTION for a file that is not that, naming the node at fault.
 */
export function parseNodes(text: string, file: string): Node[] {
  const list = listOf(parseYaml(text, file));
  if (list === undefined || list.length === 0) throw wrong(`${file}: no list of nodes`, EXAMPLE);
  const compiled = new Map<string, ResourceRequest>();
  const nodes = list.flatMap((item, i) => nodesOf(item, `${file}: node ${i + 1}`, compiled));
  if (nodes.length > MAX_NODES) throw wrong(`${file}: ${nodes.length} nodes; at most ${MAX_NODES} are possible`);
  const ids = new Set<string>();
  for (const { id } of nodes) {
    if (ids.has(id)) throw wrong(`${file}: node ${id} is there twice`);
    ids.add(id);
  }
  return nodes;
}

/** A cluster of nodes, with what each says is reserved on it. */
export function clusterOf(nodes: readonly Node[]): Cluster {
  const cluster = createCluster(nodes);
  for (const { id, reserved } of nodes) {
    for (const [i, part] of (reserved === undefined ? [] : split(reserved)).entries()) {
      cluster.reserve(id, `${id}/${i}`, part);
    }
  }
  return cluster;
}

/** A node tells sums. Parts of GPUs are taken to be on as few devices as they can be. */
function split(reserved: ResourceRequest): ResourceRequest[] {
  const { gpu } = reserved;
  if (gpu === undefined || gpu.shareMilli === 0) return [reserved];
  const devices = Math.ceil(gpu.shareMilli / 1000);
  const whole = create(ResourceRequestSchema, { ...reserved, gpu: create(GpuRequestSchema, { count: gpu.count }) });
  const parts = Array.from({ length: devices }, (_, i) =>
    create(ResourceRequestSchema, {
      gpu: {
        shareMilli: Math.min(1000, gpu.shareMilli - 1000 * i),
        memoryMib: Math.ceil(gpu.memoryMib / devices),
      },
    }),
  );
  return [whole, ...parts];
}

function parseYaml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    throw new KedgeError("INVALID_OPTION", `${file}: ${errorMessage(cause).split(":\n")[0]}`, {
      field: "--nodes",
      cause,
    });
  }
}

function listOf(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  return isRecord(value) && Array.isArray(value["nodes"]) ? value["nodes"] : undefined;
}

function nodesOf(item: unknown, where: string, compiled: Map<string, ResourceRequest>): Node[] {
  if (!isRecord(item) || typeof item["id"] !== "string") throw wrong(`${where} has no id`, EXAMPLE);
  if ("capacity" in item || "enrolledAt" in item) return [printedNode(item, where)];
  const unknown = Object.keys(item).find((key) => !WRITTEN.includes(key));
  if (unknown !== undefined) throw wrong(`${where} (${item["id"]}): unknown field ${unknown}`, EXAMPLE);
  return writtenNodes(checked(item, item["id"], where), where, compiled);
}

function printedNode(item: Readonly<Record<string, unknown>>, where: string): Node {
  try {
    return fromJson(NodeSchema, item as JsonValue);
  } catch (cause) {
    throw new KedgeError("INVALID_OPTION", `${where}: ${errorMessage(cause)}`, { field: "--nodes", cause });
  }
}

function checked(item: Readonly<Record<string, unknown>>, id: string, where: string): WrittenNode {
  const { count = 1, labels = {}, taints = [], resources = {}, reserved = {} } = item;
  const at = `${where} (${id})`;
  if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 1 || count > MAX_NODES) {
    throw wrong(`${at}: count must be a whole number from 1 to ${MAX_NODES}`);
  }
  if (!isRecord(labels)) throw wrong(`${at}: labels must be pairs, e.g. { zone: eu }`);
  if (!Array.isArray(taints)) throw wrong(`${at}: taints must be a list`);
  if (!isRecord(resources) || !isRecord(reserved)) throw wrong(`${at}: resources and reserved must be pairs`, EXAMPLE);
  const texts = Object.entries(labels).map(([key, value]) => [key, String(value)]);
  return { id, count, labels: Object.fromEntries(texts), taints: taints.map(String), resources, reserved };
}

function writtenNodes(written: WrittenNode, where: string, compiled: Map<string, ResourceRequest>): Node[] {
  const { id, count = 1, labels = {}, taints = [], resources = {}, reserved = {} } = written;
  const request = (fields: object, name: string): ResourceRequest => {
    const key = JSON.stringify(fields);
    const known = compiled.get(key);
    if (known !== undefined) return known;
    const compile = compileJob(
      { resources: fields },
      (field) => `${where} (${id}): ${field.replace("resources", name)}`,
    );
    const made = compile.resources ?? create(ResourceRequestSchema);
    compiled.set(key, made);
    return made;
  };
  const has = request(resources, "resources");
  const { gpu } = has;
  const devices = Array.from({ length: gpu?.count ?? 0 }, (_, index) => ({
    index,
    model: gpu?.model ?? "",
    memoryMib: gpu?.memoryMib ?? 0,
  }));
  return Array.from({ length: count }, (_, i) =>
    create(NodeSchema, {
      id: count === 1 ? id : `${id}-${i + 1}`,
      labels,
      taints: [...taints],
      state: NodeState.READY,
      runtimes: [RuntimeKind.DOCKER, RuntimeKind.PROCESS],
      agentVersion: "-",
      capacity: {
        cpuMilli: has.cpuMilli,
        memoryMib: has.memoryMib,
        diskMib: has.diskMib,
        custom: { ...has.custom },
        gpus: devices,
      },
      reserved: request(reserved, "reserved"),
    }),
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong(message: string, hint?: string): KedgeError {
  return new KedgeError("INVALID_OPTION", message, { field: "--nodes", ...(hint === undefined ? {} : { hint }) });
}
