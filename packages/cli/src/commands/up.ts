import { homedir } from "node:os";
import { join } from "node:path";
import { aborted, createLogger } from "@kedge/kernel";
import { Command, Option } from "commander";
import { type CommandGroup, createOutput } from "../session.ts";

interface UpOptions {
  readonly dataDir: string;
  readonly listen: string;
  readonly natsListen: string;
  readonly httpListen: string;
  readonly natsServer?: string;
  readonly natsExternal?: string;
  readonly secretKeyFile?: string;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly advertise?: string;
}

/** Log levels, quietest last. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** Where a part of Kedge keeps its state by default. */
export function defaultDataDir(...parts: string[]): string {
  return join(homedir(), ".local", "share", "kedge", ...parts);
}

/** `kedge up` */
export const upCommand: CommandGroup = (program, host) => {
  const command = new Command("up")
    .description("run a controller with its own NATS server")
    .option("--data-dir <path>", "where everything is stored", defaultDataDir())
    .option("--listen <host:port>", "gRPC API", "127.0.0.1:7460")
    .option("--nats-listen <host:port>", "NATS server for agents", "127.0.0.1:7461")
    .option("--http-listen <host:port>", "metrics and browsers", "127.0.0.1:7462")
    .option("--nats-server <path>", "nats-server program to run")
    .option("--nats-external <host:port>", "use this NATS server, started with kedge nats-config's files")
    .option("--secret-key-file <path>", "key of secrets, for controllers to share (KEDGE_SECRET_KEY_FILE)")
    .option("--advertise <host>", "host name or address that agents reach this machine by")
    .addOption(new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS).default("info"));
  command.action(async (options: UpOptions) => {
    const signal = host.signal();
    // Loaded on demand: no other command needs it.
    const { startController } = await import("@kedge/controller");
    const { saveContext } = await import("@kedge/client");
    const { logLevel, ...settings } = options;
    const logger = createLogger({ name: "controller", level: logLevel });
    const controller = await startController({ ...settings, env: { ...host.env }, logger }, signal);
    try {
      const { address, caPem, adminToken: token } = controller;
      await saveContext("local", { address, caPem, token }, host.env);
      const output = createOutput(host, false);
      output.raw(
        `Kedge is up at ${address}; metrics at http://${controller.httpAddress}/metrics. This machine's context "local" has the admin token.`,
      );
      output.raw("Add a node:   kedge token create --node   then, there:   kedge agent join --token <token>");
      output.raw("First run:    kedge run submit -f kedge.yaml --follow");
      await aborted(signal);
    } finally {
      await controller.stop();
    }
  });
  program.addCommand(command);
};
