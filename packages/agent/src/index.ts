export { type RunningAgent, startAgent } from "./agent.ts";
export type { AgentOptions, ListenAddress, RuntimeName } from "./config.ts";
export { type JoinOptions, joinNode } from "./identity/join-node.ts";
export { type JoinToken, parseJoinToken } from "./identity/join-token.ts";
export { loadIdentity, type NodeIdentity } from "./identity/node-identity.ts";
export { LocalNode, type LocalNodeOptions } from "./local/local-node.ts";
export type { CapacityOverride } from "./node/capacity.ts";
export { type StopNodeOptions, type StoppedNode, stopNode } from "./stop-node.ts";
