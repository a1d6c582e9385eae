import type { Placement, PlacementExplanation, ResourceRequest, RuntimeKind } from "@kedge/proto";

/** What has to be placed on one node. */
export interface Demand {
  /** Names the demand, e.g. the task or replica id; the key to reserve under. */
  readonly key: string;
  readonly resources?: ResourceRequest | undefined;
  readonly placement?: Placement | undefined;
  /** Absent or UNSPECIFIED: any. */
  readonly runtime?: RuntimeKind | undefined;
  /** Reservations with the same key repel each other, e.g. the replicas of one revision. Absent: pack tightly. */
  readonly spreadKey?: string | undefined;
  /** Images and model digests that are cheaper to start where they are cached already. */
  readonly images?: readonly string[] | undefined;
  readonly models?: readonly string[] | undefined;
}

/** Where a demand goes, or why it goes nowhere. Nothing is reserved yet. */
export type PlaceResult =
  | {
      readonly kind: "placed";
      readonly nodeId: string;
      /** Indices (GpuDevice.index) of the devices chosen, ascending; empty when no GPU is asked for. */
      readonly gpuIndices: readonly number[];
      /** Brief: node, score and summary. `explain` gives the losing nodes too. */
      readonly explanation: PlacementExplanation;
    }
  | { readonly kind: "unplaced"; readonly explanation: PlacementExplanation };
