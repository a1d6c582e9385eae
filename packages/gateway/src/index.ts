export { effectiveSplit } from "./effective-split.ts";
export { endGateway } from "./end-gateway.ts";
export { Gateway } from "./gateway.ts";
export type { GatewayCapacity, GatewayEndpoint, GatewayOptions, GatewayService } from "./gateway-options.ts";
export type { DeploymentStats, GatewayStats, RevisionStats } from "./gateway-stats.ts";
export { LATENCY_BOUNDS_MS } from "./latency-bounds.ts";
export { assertRouteRules, type RouteRules } from "./route-rules.ts";
export { UserSketch } from "./user-sketch.ts";
