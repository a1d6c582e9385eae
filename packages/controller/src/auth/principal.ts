import { Role } from "@kedge/proto";

/** Roles in ascending order of power; a task's token stands aside. */
const RANK: Readonly<Record<Role, number>> = {
  [Role.UNSPECIFIED]: 0,
  [Role.TASK]: 0,
  [Role.VIEWER]: 1,
  [Role.OPERATOR]: 2,
  [Role.ADMIN]: 3,
};

const TASK_METHODS: ReadonlySet<string> = new Set([
  "kedge.v1.ModelService/pushModel",
  "kedge.v1.ModelService/pullModel",
  "kedge.v1.ModelService/getModel",
  "kedge.v1.ModelService/tagModel",
  "kedge.v1.ArtifactService/findMissingChunks",
  "kedge.v1.ArtifactService/putArtifact",
  "kedge.v1.ArtifactService/putCache",
  "kedge.v1.ArtifactService/getCache",
]);

/** What a running task's steps may call with the token they are given. */
const STEP_METHODS: ReadonlySet<string> = new Set(["kedge.v1.RunService/addJobs"]);

/** How the names of methods that only read begin. */
const READS = /^(get|list|watch|stream|explain|lint|plan|pull|whoAmI)/;

const ADMIN_SERVICES: ReadonlySet<string> = new Set(["kedge.v1.TokenService", "kedge.v1.NodeService"]);

/** Methods for admins in services that are not. */
const ADMIN_METHODS: ReadonlySet<string> = new Set([
  "kedge.v1.SchedulingService/setSchedulingPolicy",
  "kedge.v1.AlertService/setAlertPolicy",
  "kedge.v1.RepositoryService/applyRepository",
  "kedge.v1.RepositoryService/deleteRepository",
  "kedge.v1.SecretService/rotateKey",
]);

/** Methods anybody may call: the join token is the credential, or there is nothing to protect. */
const OPEN_METHODS: ReadonlySet<string> = new Set(["kedge.v1.NodeService/enroll"]);

/** Tells whether a method changes nothing, so that a controller may answer it that does not lead. */
export function isRead(method: string): boolean {
  return READS.test(method);
}

/** Tells whether a call needs no bearer token. */
export function isOpenMethod(service: string, method: string): boolean {
  return OPEN_METHODS.has(`${service}/${method}`);
}

/** The least role that may call a method. */
export function requiredRole(service: string, method: string): Role {
  if (service === "kedge.v1.TokenService" && method !== "whoAmI") return Role.ADMIN;
  if (isRead(method)) return Role.VIEWER;
  return ADMIN_SERVICES.has(service) || ADMIN_METHODS.has(`${service}/${method}`) ? Role.ADMIN : Role.OPERATOR;
}

/** Tells whether a role may call a method. */
export function mayCall(role: Role, service: string, method: string): boolean {
  if (role === Role.TASK) return TASK_METHODS.has(`${service}/${method}`);
  return RANK[role] >= RANK[requiredRole(service, method)] && RANK[role] > 0;
}

/** Tells whether a method may be called with the token that steps are given. */
export function mayStepCall(service: string, method: string): boolean {
  return STEP_METHODS.has(`${service}/${method}`);
}
