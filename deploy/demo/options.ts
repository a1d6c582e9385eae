import { parseArgs } from "node:util";

/** What the person at the terminal asked for. */
export interface DemoOptions {
  readonly json: boolean;
  readonly keep: boolean;
  readonly docker: boolean;
  readonly help: boolean;
}

/** The text of --help. */
export const HELP = `npm run demo -- [options]

Shows Kedge at work, on this machine alone: a controller, four agents, a real speech model under live traffic,
a good release that is promoted, and a bad one that is rolled back by itself. Takes about a minute.

  --json        one JSON object a line instead of text
  --keep        stay up at the end and say how to look around; Ctrl-C ends it
  --no-docker   without containers: tests run as plain processes, no image is built
  --help        this text

Exit code: 0 when the story went as it should, 1 when not, 2 for bad options, 130 when interrupted.`;

/** Reads the command line. @throws TypeError for an unknown option. */
export function parseOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      "no-docker": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  return { json: values.json, keep: values.keep, docker: !values["no-docker"], help: values.help };
}
