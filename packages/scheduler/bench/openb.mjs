// The scheduler behind the interface of the openb replay harness: default-exported class, constructor(nodes, ctx),
// place(pod) → { node, gpuIdx } | null. Needs a build (`npm run setup`); runs on plain Node.
import { create } from "@bufbuild/protobuf";
import { LabelConstraint_Operator, NodeSchema, NodeState, PlacementSchema, ResourceRequestSchema } from "@kedge/proto";
import { createCluster, place } from "@kedge/scheduler";

const MODEL = "gpu-model";

export default class OpenbScheduler {
  constructor(nodes) {
    this.cluster = createCluster(nodes.map(nodeOf));
    this.indexOf = new Map(nodes.map(({ name, index }) => [name, index]));
    this.placements = new Map();
  }

  place(pod) {
    const demand = { key: `pod-${pod.id}`, resources: requestOf(pod), placement: this.placementOf(pod) };
    const result = place(this.cluster, demand);
    if (result.kind === "unplaced") return null;
    const { nodeId, gpuIndices } = result;
    this.cluster.reserve(nodeId, demand.key, demand.resources, { gpuIndices });
    return { node: this.indexOf.get(nodeId), gpuIdx: [...gpuIndices] };
  }

  placementOf({ models }) {
    if (models === null) return undefined;
    const key = models.join("|");
    const known = this.placements.get(key);
    if (known !== undefined) return known;
    const constraints = [{ label: MODEL, operator: LabelConstraint_Operator.IN, values: models }];
    const placement = create(PlacementSchema, { constraints });
    this.placements.set(key, placement);
    return placement;
  }
}

function nodeOf({ name, cpu, mem, gpu, model }) {
  const gpus = Array.from({ length: gpu }, (_, index) => ({ index, uuid: `${name}-${index}`, model }));
  return create(NodeSchema, {
    id: name,
    state: NodeState.READY,
    labels: { [MODEL]: model },
    capacity: { cpuMilli: cpu, memoryMib: mem, gpus },
  });
}

function requestOf({ cpu, mem, numGpu, gpuMilli }) {
  const gpu = numGpu > 1 || gpuMilli >= 1000 ? { count: numGpu } : { shareMilli: gpuMilli };
  return create(ResourceRequestSchema, { cpuMilli: cpu, memoryMib: mem, ...(numGpu > 0 ? { gpu } : {}) });
}
