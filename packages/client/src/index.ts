export { createKedgeClient, type KedgeClient } from "./client.ts";
export {
  type ContextsFile,
  contextsPath,
  type Environment,
  type KedgeContext,
  type LoadContextOptions,
  loadContext,
  readContexts,
  saveContext,
} from "./contexts.ts";
export { type FollowLogsOptions, followLogs, type LogLine, LogLines, logLines } from "./logs.ts";
export { collect, type Page, pages } from "./pages.ts";
export { type PullArtifactTarget, pullArtifact } from "./pull-artifact.ts";
export { type PullModelTarget, pullModel } from "./pull-model.ts";
export { pushModelFolder, type TransferOptions, type TransferProgress } from "./push-model.ts";
export { type ResumeOptions, resumed, retried } from "./resume.ts";
export { type RolloutWaitOptions, waitForRollout } from "./rollout-watch.ts";
export { type RunWaitOptions, submitAndWait, waitForRun } from "./run-watch.ts";
