import { systemClock } from "@kedge/kernel";
import { InvalidArgumentError, Option } from "commander";
import { argument, positiveInteger, span } from "../options.ts";
import { printLogs } from "../print-logs.ts";
import { addRemote, type CommandGroup, type Session } from "../session.ts";

interface LogsOptions {
  readonly follow?: boolean;
  readonly step?: string;
  /** Milliseconds since 1970. */
  readonly since?: number;
  readonly tail?: number;
  readonly search?: string;
  readonly around?: number;
  readonly failed?: boolean;
  readonly timestamps?: boolean;
  readonly raw?: boolean;
  /** False: --no-color. */
  readonly color?: boolean;
  readonly byStep?: "failed" | "all";
}

/** `kedge logs` */
export const logsCommand: CommandGroup = (program, host) => {
  addRemote<LogsOptions>(program, host, {
    usage: "logs <run> [job]",
    description: "print what a run's steps wrote",
    options: (command) =>
      command
        .option("-f, --follow", "stay until the run ends")
        .option("--step <name>", "of this step only")
        .option("--since <time>", 'logged since then: a span such as "15m", or a time such as 2026-01-31T12:00Z', since)
        .option("-n, --tail <lines>", "only the last lines of each job", positiveInteger)
        .option("--search <text>", "only lines with this text, with their numbers, and how many there are")
        .option("-C, --around <lines>", "lines around each that was found", positiveInteger)
        .option("--failed", "only steps that failed")
        .option("-t, --timestamps", "when each line was logged")
        .option("--raw", "the output as it was written: no names, nothing made harmless")
        .option("--no-color", "without colours, also those of the programs")
        .addOption(
          new Option("--by-step <which>", "under headers with durations, open where steps failed, or all").choices([
            "failed",
            "all",
          ]),
        ),
    run: logs,
  });
};

async function logs(session: Session, args: readonly string[], options: LogsOptions): Promise<void> {
  const { since: sinceMs, color, follow = false, around: context = 0, ...rest } = options;
  const job = args[1];
  const time = sinceMs === undefined ? {} : { sinceMs };
  const selection = { ...rest, ...time, context, runId: argument(args, 0), follow, noColor: color === false };
  await printLogs(session, job === undefined ? selection : { ...selection, job });
}

function since(text: string): number {
  if (/^\d{1,6}[smhd]$/.test(text)) return systemClock.now() - span(text) * 1000;
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw new InvalidArgumentError('Expected a span such as "15m" or an ISO 8601 time.');
  return time;
}
