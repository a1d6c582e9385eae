export { Cluster, createCluster, type NodeCache, type Reservation, type ReserveOptions } from "./cluster.ts";
export type { Demand, PlaceResult } from "./demand.ts";
export { type EligibleNodes, eligibleNodes } from "./eligible-nodes.ts";
export { explain } from "./explain.ts";
export { place } from "./place.ts";
