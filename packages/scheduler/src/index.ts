export { Admission, type AdmissionOptions, createAdmission, type PastRun } from "./admission/admission.ts";
export type {
  AdmissionPlan,
  Gang,
  Placed,
  Preemption,
  RunningJob,
  StillWaiting,
  WaitingJob,
} from "./admission/admission-types.ts";
export type { RoomInMaking, RoomMade, RoomWish } from "./admission/made-room.ts";
export { Cluster, createCluster, type NodeCache, type Reservation, type ReserveOptions } from "./cluster.ts";
export type { Artifact, Demand, PlacedDemand, PlaceResult } from "./demand.ts";
export { type EligibleNodes, eligibleNodes } from "./eligible-nodes.ts";
export { explain } from "./explain.ts";
export { type GangResult, placeGang } from "./gang.ts";
export { greedyKnapsack, improveBySwaps, type KnapsackProblem, type SwapOptions, solveKnapsack } from "./knapsack.ts";
export { meetsConstraint } from "./label-constraints.ts";
export type { Obstacle } from "./obstacle.ts";
export { type FitResult, fits, place } from "./place.ts";
export { planRebalance, type RebalanceOptions, type RebalancePlan, type ReplicaMove } from "./rebalance.ts";
export type { MovableReplica } from "./rebalance-board.ts";
export { type Fragmentation, measureFragmentation } from "./rebalance-measure.ts";
