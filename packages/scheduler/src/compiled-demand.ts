import { create } from "@bufbuild/protobuf";
import { requestAmounts } from "@kedge/domain";
import {
  type GpuRequest,
  type LabelConstraint,
  PlacementSchema,
  RuntimeKind,
  type WorkloadAffinity,
} from "@kedge/proto";
import type { Artifact, Demand } from "./demand.ts";
import { wantsGpu } from "./gpu.ts";

/** A demand with everything looked up that does not depend on the node. */
export interface CompiledDemand {
  readonly demand: Demand;
  readonly amounts: readonly (readonly [dimension: string, wanted: number])[];
  readonly gpu: GpuRequest | undefined;
  readonly selector: readonly (readonly [label: string, value: string])[];
  readonly tolerations: readonly string[];
  readonly constraints: readonly LabelConstraint[];
  /** Conditions on what else runs on the node. */
  readonly company: readonly WorkloadAffinity[];
  readonly runtime: RuntimeKind;
  readonly isDistinct: boolean;
  readonly artifacts: readonly Artifact[];
  /** Nodes outside it are left out: one value of the label that copies are spread over. */
  readonly domain?: Domain | undefined;
}

/** The nodes on which a label has this value; undefined: those without it. */
export interface Domain {
  readonly label: string;
  readonly value: string | undefined;
}

const ANYWHERE = create(PlacementSchema);

/** Prepares a demand for many nodes. */
export function compileDemand(demand: Demand): CompiledDemand {
  const gpu = demand.resources?.gpu;
  const placement = demand.placement ?? ANYWHERE;
  return {
    demand,
    amounts: Object.entries(requestAmounts(demand.resources)),
    gpu: wantsGpu(gpu) ? gpu : undefined,
    selector: Object.entries(placement.nodeSelector),
    tolerations: placement.tolerations,
    constraints: placement.constraints,
    company: placement.workloads.filter((affinity) => affinity.required),
    runtime: demand.runtime ?? RuntimeKind.UNSPECIFIED,
    isDistinct: placement.distinctNodes && demand.spreadKey !== undefined,
    artifacts: demand.artifacts ?? [],
  };
}
