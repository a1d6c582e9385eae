import type { Placement, PlacementExplanation, ResourceRequest, RuntimeKind } from "@kedge/proto";

/** Something a node has to fetch before it can start a demand: an image by name, a model version by manifest digest. */
export interface Artifact {
  readonly name: string;
  /** 0: not known. */
  readonly bytes: number;
}

/** What has to be placed on one node. Messages in it must not be changed afterwards. */
export interface Demand {
  /** Names the demand, e.g. the task or replica id; the key to reserve under. */
  readonly key: string;
  readonly resources?: ResourceRequest | undefined;
  readonly placement?: Placement | undefined;
  /** Absent or UNSPECIFIED: any. */
  readonly runtime?: RuntimeKind | undefined;
  /**
   * Reservations with the same key are copies of each other, e.g. the replicas of one revision: they repel each other,
   * and are what `spread` and `distinct_nodes` count. Absent: pack tightly.
   */
  readonly spreadKey?: string | undefined;
  /** What other demands may want to be near or apart from: a deployment's name, or "<pipeline>/<job>". */
  readonly workload?: string | undefined;
  /** Cheaper to start where they are, or are being fetched already. */
  readonly artifacts?: readonly Artifact[] | undefined;
  /** Nodes to keep off for now, by id, each with the reason. */
  readonly avoid?: ReadonlyMap<string, string> | undefined;
}

/** Where a demand goes, or why it goes nowhere. Nothing is reserved yet. */
export type PlaceResult =
  | PlacedDemand
  | {
      readonly kind: "unplaced";
      /** Full: every rejection, and what would make it fit. Computed when it is first read. */
      readonly explanation: PlacementExplanation;
    };

/** A node for a demand. */
export interface PlacedDemand {
  readonly kind: "placed";
  readonly nodeId: string;
  /** Indices (GpuDevice.index) of the devices chosen, ascending; empty when no GPU is asked for. */
  readonly gpuIndices: readonly number[];
  /** Brief: node, score and summary. `explain` gives the losing nodes too. */
  readonly explanation: PlacementExplanation;
}
