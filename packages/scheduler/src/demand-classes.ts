import { toBinary } from "@bufbuild/protobuf";
import type { ResourceRequest } from "@kedge/proto";
import { PlacementSchema } from "@kedge/proto";
import type { CompiledDemand } from "./compiled-demand.ts";
import { type ChangingNodes, DemandClass } from "./demand-class.ts";

/** Classes kept; each holds about 32 bytes a node. More different demands than these in turn cost a look at every node each. */
const MAX_CLASSES = 128;

/** The classes of the demands asked for of late. */
export class DemandClasses {
  readonly #nodes: ChangingNodes;
  /** The one used longest ago first. */
  readonly #classes = new Map<string, DemandClass>();

  constructor(nodes: ChangingNodes) {
    this.#nodes = nodes;
  }

  of(compiled: CompiledDemand): DemandClass {
    const key = demandShape(compiled);
    const found = this.#classes.get(key) ?? new DemandClass(compiled, this.#nodes);
    this.#classes.delete(key);
    this.#classes.set(key, found);
    if (this.#classes.size > MAX_CLASSES) this.#forgetOldest();
    return found;
  }

  #forgetOldest(): void {
    for (const key of this.#classes.keys()) {
      this.#classes.delete(key);
      return;
    }
  }
}

/** The same text for demands that ask the same of a node, whatever their keys. */
export function demandShape({ demand, domain, runtime }: CompiledDemand): string {
  const artifacts = (demand.artifacts ?? []).map(({ name, bytes }) => `${name} ${bytes}`);
  return JSON.stringify([
    resourcesText(demand.resources),
    demand.placement === undefined ? "" : placementText(demand.placement),
    runtime,
    demand.spreadKey ?? null,
    artifacts,
    domain === undefined ? null : [domain.label, domain.value ?? null],
    demand.avoid === undefined ? null : [...demand.avoid.keys()].sort(),
  ]);
}

function resourcesText(request: ResourceRequest | undefined): string {
  if (request === undefined) return "";
  const { cpuMilli, memoryMib, diskMib, gpu, custom } = request;
  const device = gpu === undefined ? "" : JSON.stringify([gpu.count, gpu.shareMilli, gpu.memoryMib, gpu.model]);
  return `${cpuMilli} ${memoryMib} ${diskMib} ${device} ${JSON.stringify(custom)}`;
}

function placementText(placement: NonNullable<CompiledDemand["demand"]["placement"]>): string {
  const known = placementTexts.get(placement);
  if (known !== undefined) return known;
  const text = String.fromCharCode(...toBinary(PlacementSchema, placement));
  placementTexts.set(placement, text);
  return text;
}

/** Placements are not changed once they are part of a demand. */
const placementTexts = new WeakMap<object, string>();
