import type { Environment, KedgeClient } from "@kedge/client";
import { aborted } from "@kedge/kernel";
import { Command, Option } from "commander";
import { Output, type Sink } from "./output/output.ts";
import { ExitRequest } from "./print-error.ts";
import type { ValueSource } from "./secret-input.ts";

/** The process around the commands. */
export interface Host {
  readonly env: Environment;
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Default: the process's own. */
  readonly stdin?: ValueSource;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: () => AbortSignal;
  /** Asks whoever sits at the terminal for a line; absent where nobody does. Rejects when the signal aborts. */
  readonly ask?: (question: string, signal: AbortSignal) => Promise<string>;
  /** Starts the same command line, with one more argument, in place of this process; absent where that cannot be. */
  readonly startOver?: (argument: string) => void;
}

/** What a command that talks to a controller works with. */
export interface Session {
  readonly client: KedgeClient;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** One group of commands; adds them to the program. */
export type CommandGroup = (program: Command, host: Host) => void;

interface ConnectionOptions {
  readonly json?: boolean;
  readonly context?: string;
  readonly address?: string;
  readonly token?: string;
  readonly caFile?: string;
}

/** The options that every command talking to a controller takes, before or after its name. */
export function connectionOptions(): Option[] {
  return [
    new Option("--json", "print JSON"),
    new Option("--context <name>", "saved context to use"),
    new Option("--address <host:port>", "controller to talk to (KEDGE_ADDRESS)"),
    new Option("--token <token>", "bearer token (KEDGE_TOKEN)"),
    new Option("--ca-file <path>", "CA of the controller's certificate (KEDGE_CA_FILE)"),
  ];
}

/** Adds a command that talks to a controller. */
export function addRemote<T extends object>(parent: Command, host: Host, spec: RemoteSpec<T>): Command {
  const command = new Command(spec.usage.split(" ")[0]).description(spec.description);
  for (const argument of spec.usage.split(" ").slice(1)) command.argument(argument);
  for (const option of connectionOptions()) command.addOption(option.hideHelp());
  spec.options?.(command);
  if (spec.examples !== undefined) command.addHelpText("after", exampleText(spec.examples));
  command.action(async () => {
    const options = command.optsWithGlobals<T & ConnectionOptions>();
    const local = spec.local?.(createOutput(host, options.json === true), options);
    await (local ?? withSession(host, options, (session) => spec.run(session, command.args, options)));
  });
  parent.addCommand(command);
  return command;
}

function exampleText(examples: readonly string[]): string {
  return ["", "Examples:", ...examples.map((line) => (line === "" ? "" : `  ${line}`))].join("\n");
}

/** A command: "name <arg> [arg]", one line of help, its own options, examples, and what it does. */
export interface RemoteSpec<T extends object> {
  readonly usage: string;
  readonly description: string;
  readonly options?: (command: Command) => void;
  readonly examples?: readonly string[];
  /** Does the command without a controller, if the options say so; otherwise undefined. */
  readonly local?: (output: Output, options: T) => Promise<void> | undefined;
  readonly run: (session: Session, args: readonly string[], options: T) => Promise<void>;
}

/** An output as the options and the environment ask for. */
export function createOutput(host: Host, json: boolean): Output {
  return new Output({ json, stdout: host.stdout, stderr: host.stderr, plain: Boolean(host.env["NO_COLOR"]) });
}

async function withSession(
  host: Host,
  options: ConnectionOptions,
  run: (session: Session) => Promise<void>,
): Promise<void> {
  const { context, address, token, caFile } = options;
  // Loaded on demand: an agent never talks to a controller this way.
  const { createKedgeClient, loadContext } = await import("@kedge/client");
  const connection = await loadContext({
    env: host.env,
    ...(context === undefined ? {} : { name: context }),
    ...(address === undefined ? {} : { address }),
    ...(token === undefined ? {} : { token }),
    ...(caFile === undefined ? {} : { caFile }),
  });
  const signal = host.signal();
  const client = createKedgeClient(connection);
  const interrupted = aborted(signal).then(() => {
    throw new ExitRequest("interrupted");
  });
  try {
    await Promise.race([run({ client, output: createOutput(host, options.json === true), signal }), interrupted]);
  } finally {
    client.close();
  }
}
