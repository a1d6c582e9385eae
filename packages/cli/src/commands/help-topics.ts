import { ERROR_REASONS } from "@kedge/domain";
import { Command } from "commander";
import { EXIT_CODES, exitOfError } from "../exit-codes.ts";
import type { Table } from "../output/table.ts";
import { type CommandGroup, createOutput } from "../session.ts";

/** Every reason an error may have. */
export function errorTable(): Table {
  const rows = Object.entries(ERROR_REASONS).map(([reason, { code, retryable, meaning }]) => [
    reason,
    code,
    String(EXIT_CODES[exitOfError(code)].code),
    retryable ? "yes" : "no",
    meaning,
  ]);
  return { columns: ["REASON", "CODE", "EXIT", "RETRY", "MEANING"], rows };
}

/** Every code the process may exit with. */
export function exitCodeTable(): Table {
  const rows = Object.values(EXIT_CODES).map(({ code, meaning }) => [String(code), meaning]);
  return { columns: ["EXIT", "MEANING"], rows };
}

const TOPICS: Readonly<Record<string, () => Table>> = { errors: errorTable, "exit-codes": exitCodeTable };

/** `kedge help errors`, `kedge help exit-codes`, `kedge help <command>` */
export const helpCommand: CommandGroup = (program, host) => {
  const help = new Command("help")
    .description("help for a command, or on a topic: errors, exit-codes")
    .argument("[words...]")
    .action((words: string[]) => {
      const topic = Object.hasOwn(TOPICS, words[0] ?? "") ? TOPICS[words[0] ?? ""] : undefined;
      if (topic !== undefined) return createOutput(host, false).view([topic()]);
      let command = program;
      for (const word of words) command = command.commands.find((candidate) => candidate.name() === word) ?? command;
      command.outputHelp();
    });
  program.helpCommand(false).addCommand(help);
};
