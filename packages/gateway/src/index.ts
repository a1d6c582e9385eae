export { effectiveSplit } from "./effective-split.ts";
export { endGateway } from "./end-gateway.ts";
export { Gateway } from "./gateway.ts";
export type { GatewayCapacity, GatewayEndpoint, GatewayOptions, GatewayService } from "./gateway-options.ts";
export type { DeploymentStats, GatewayStats, RevisionStats } from "./gateway-stats.ts";
export { LATENCY_BOUNDS_MS } from "./latency-bounds.ts";
export {
  assertTrafficRules,
  type MatchRule,
  type Mirror,
  type RequestValue,
  type StickyKey,
  type TrafficRules,
} from "./traffic-rules.ts";
export { UserSketch } from "./user-sketch.ts";
export type { ArmDetail, ShadowDetail, WindowDetail } from "./window-detail.ts";
