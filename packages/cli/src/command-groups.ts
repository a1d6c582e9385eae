import { agentCommands } from "./commands/agent.ts";
import { alertCommands } from "./commands/alert.ts";
import { applyCommand } from "./commands/apply.ts";
import { approvalsCommand } from "./commands/approvals.ts";
import { artifactCommands } from "./commands/artifact.ts";
import { cacheCommands } from "./commands/cache.ts";
import { completionCommands } from "./commands/completion.ts";
import { componentCommands } from "./commands/component.ts";
import { deploymentCommands } from "./commands/deployment.ts";
import { eventsCommand } from "./commands/events.ts";
import { flagCommands } from "./commands/flag.ts";
import { getCommand } from "./commands/get.ts";
import { helpCommand } from "./commands/help-topics.ts";
import { importCommand } from "./commands/import.ts";
import { incidentCommands } from "./commands/incident.ts";
import { jobCommands } from "./commands/job.ts";
import { logsCommand } from "./commands/logs.ts";
import { modelCommands } from "./commands/model.ts";
import { natsConfigCommand } from "./commands/nats-config.ts";
import { nodeCommands } from "./commands/node.ts";
import { pipelineCommands } from "./commands/pipeline.ts";
import { planCommand } from "./commands/plan.ts";
import { policyCommands } from "./commands/policy.ts";
import { queueCommand } from "./commands/queue.ts";
import { rebalanceCommand } from "./commands/rebalance.ts";
import { repoCommands } from "./commands/repo.ts";
import { rolloutCommands } from "./commands/rollout.ts";
import { runCommands } from "./commands/run.ts";
import { schemaCommand } from "./commands/schema.ts";
import { secretCommands } from "./commands/secret.ts";
import { teamCommands } from "./commands/team.ts";
import { tokenCommands } from "./commands/token.ts";
import { upCommand } from "./commands/up.ts";
import { versionCommand } from "./commands/version.ts";
import type { CommandGroup } from "./session.ts";

/** Every command, in the order of the help. */
export const COMMAND_GROUPS: readonly CommandGroup[] = [
  upCommand,
  natsConfigCommand,
  agentCommands,
  tokenCommands,
  nodeCommands,
  runCommands,
  approvalsCommand,
  jobCommands,
  queueCommand,
  planCommand,
  logsCommand,
  artifactCommands,
  cacheCommands,
  pipelineCommands,
  componentCommands,
  importCommand,
  schemaCommand,
  repoCommands,
  secretCommands,
  modelCommands,
  applyCommand,
  deploymentCommands,
  rolloutCommands,
  incidentCommands,
  alertCommands,
  rebalanceCommand,
  flagCommands,
  policyCommands,
  teamCommands,
  getCommand,
  eventsCommand,
  completionCommands,
  versionCommand,
  helpCommand,
];
