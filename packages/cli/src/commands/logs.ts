import { argument } from "../options.ts";
import { printLogs } from "../run-progress.ts";
import { addRemote, type CommandGroup } from "../session.ts";

/** `kedge logs` */
export const logsCommand: CommandGroup = (program, host) => {
  addRemote<{ follow?: boolean }>(program, host, {
    usage: "logs <run> [job]",
    description: "print what a run's steps wrote",
    options: (command) => command.option("-f, --follow", "stay until the run ends"),
    run: (session, args, { follow = false }) => {
      const job = args[1];
      return printLogs(session, { runId: argument(args, 0), follow, ...(job === undefined ? {} : { job }) });
    },
  });
};
