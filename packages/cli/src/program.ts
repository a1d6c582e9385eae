import { Command } from "commander";
import { agentCommands } from "./commands/agent.ts";
import { applyCommand } from "./commands/apply.ts";
import { completionCommands } from "./commands/completion.ts";
import { deploymentCommands } from "./commands/deployment.ts";
import { eventsCommand } from "./commands/events.ts";
import { getCommand } from "./commands/get.ts";
import { helpCommand } from "./commands/help-topics.ts";
import { logsCommand } from "./commands/logs.ts";
import { modelCommands } from "./commands/model.ts";
import { natsConfigCommand } from "./commands/nats-config.ts";
import { nodeCommands } from "./commands/node.ts";
import { pipelineCommands } from "./commands/pipeline.ts";
import { rolloutCommands } from "./commands/rollout.ts";
import { runCommands } from "./commands/run.ts";
import { tokenCommands } from "./commands/token.ts";
import { upCommand } from "./commands/up.ts";
import { ownVersion, versionCommand } from "./commands/version.ts";
import { type CommandGroup, connectionOptions, type Host } from "./session.ts";

const GROUPS: readonly CommandGroup[] = [
  upCommand,
  natsConfigCommand,
  agentCommands,
  tokenCommands,
  nodeCommands,
  runCommands,
  logsCommand,
  pipelineCommands,
  modelCommands,
  applyCommand,
  deploymentCommands,
  rolloutCommands,
  getCommand,
  eventsCommand,
  completionCommands,
  versionCommand,
  helpCommand,
];

/** The whole command tree. Parsing throws instead of ending the process. */
export function buildProgram(host: Host): Command {
  const program = new Command("kedge")
    .description("continuous deployment for AI systems")
    .version(ownVersion())
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true });
  for (const option of connectionOptions()) program.addOption(option);
  for (const group of GROUPS) group(program, host);
  prepare(program, host);
  return program;
}

/** Commander does not hand these settings down to commands made apart from their parent. */
function prepare(command: Command, host: Host): void {
  command.exitOverride();
  command.configureOutput({
    writeOut: (text) => host.stdout.write(text),
    writeErr: (text) => host.stderr.write(text),
  });
  for (const child of command.commands) {
    child.configureHelp({ showGlobalOptions: true });
    prepare(child, host);
  }
}
