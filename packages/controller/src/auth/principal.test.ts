import {
  AlertService,
  ArtifactService,
  ComponentService,
  DeploymentService,
  EventService,
  ModelService,
  NodeService,
  PipelineService,
  Role,
  RunService,
  SchedulingService,
  SecretService,
  TokenService,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { isOpenMethod, isRead, mayCall, mayStepCall } from "./principal.ts";

const SERVICES = [
  AlertService,
  ArtifactService,
  RunService,
  PipelineService,
  ModelService,
  ComponentService,
  DeploymentService,
  NodeService,
  EventService,
  TokenService,
  SchedulingService,
  SecretService,
];

/** Least role of every method there is; a new method must be added here on purpose. */
const LEAST: Readonly<Record<string, readonly string[]>> = {
  VIEWER: [
    "getRun listRuns watchRun streamLogs getPipeline listPipelines lintPipeline planPipeline pullModel getModel",
    "listModels getDeployment listDeployments watchDeployment explainDeployment getNode listNodes watchNodes",
    "watchEvents whoAmI getSchedulingPolicy getAlertPolicy listDeliveries listQueue listTeams explainJob planDemand",
    "listApprovals getComponent listComponents listSecrets getArtifact listArtifacts getCache listCaches",
  ],
  OPERATOR: [
    "findMissingChunks putArtifact putCache deleteArtifact deleteCache",
    "submitRun cancelRun retryRun approveJob rejectJob approveRun rejectRun addJobs pushComponent applyPipeline deletePipeline pushModel tagModel deleteModel",
    "applyDeployment deleteDeployment promoteRollout pauseRollout resumeRollout abortRollout rollbackDeployment retryRollout",
    "testReceiver silence unsilence rebalance setSecret deleteSecret",
  ],
  ADMIN: [
    "createJoinToken enroll cordonNode uncordonNode drainNode quarantineNode releaseNode removeNode createToken listTokens",
    "revokeToken setSchedulingPolicy setAlertPolicy rotateKey",
  ],
};

/** What the token of a running task opens. */
const FOR_TASKS = new Set([
  ...["pushModel", "pullModel", "getModel", "tagModel"],
  ...["findMissingChunks", "putArtifact", "putCache", "getCache"],
]);

const least = new Map(
  Object.entries(LEAST).flatMap(([role, names]) =>
    names
      .join(" ")
      .split(" ")
      .map((n) => [n, role]),
  ),
);
const ORDER = ["VIEWER", "OPERATOR", "ADMIN"];

test.each(SERVICES.flatMap((service) => service.methods.map((method) => [service.typeName, method.localName])))(
  "%s/%s is for its role and those above",
  (service, method) => {
    const wanted = least.get(method);
    expect(wanted, `add ${method} to the table`).toBeDefined();
    const allowed = ORDER.filter((role) => mayCall(Role[role as "VIEWER"], service, method));
    expect(allowed).toEqual(ORDER.slice(ORDER.indexOf(wanted ?? "")));
    expect(mayCall(Role.UNSPECIFIED, service, method)).toBe(false);
    expect(mayCall(99 as Role, service, method)).toBe(false);
    expect(mayCall(Role.TASK, service, method)).toBe(FOR_TASKS.has(method));
    expect(mayStepCall(service, method)).toBe(method === "addJobs");
    expect(isOpenMethod(service, method)).toBe(method === "enroll");
    // Without the lease only these are answered.
    expect(isRead(method)).toBe(wanted === "VIEWER" || method === "listTokens");
  },
);
