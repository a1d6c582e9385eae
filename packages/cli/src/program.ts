import { Command } from "commander";
import { ownVersion } from "./commands/version.ts";
import { type CommandGroup, connectionOptions, type Host } from "./session.ts";

/** A command tree. Parsing throws instead of ending the process. */
export function buildProgram(host: Host, groups: readonly CommandGroup[]): Command {
  const program = new Command("kedge")
    .description("continuous deployment for AI systems")
    .version(ownVersion())
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true });
  for (const option of connectionOptions()) program.addOption(option);
  for (const group of groups) group(program, host);
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
