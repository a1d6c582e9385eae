import { silentLogger } from "@kedge/kernel";
import { Command } from "commander";
import { type CommandGroup, createOutput } from "../session.ts";
import { defaultDataDir } from "./up.ts";

interface NatsConfigOptions {
  readonly dataDir: string;
  readonly natsExternal: string;
  readonly advertise: string;
  readonly out: string;
  readonly store: string;
  readonly natsListen?: string;
  readonly natsVersion?: string;
}

/** `kedge nats-config` */
export const natsConfigCommand: CommandGroup = (program, host) => {
  const command = new Command("nats-config")
    .description("write the configuration of a NATS server that runs beside the controller, not inside it")
    .requiredOption("--nats-external <host:port>", "where the controller and nodes find that server")
    .requiredOption("--advertise <host>", "as for kedge up")
    .requiredOption("--out <path>", "folder for nats.conf, certificate and key; the same path for the server")
    .requiredOption("--store <path>", "folder for the server's data, as the server sees it")
    .option("--data-dir <path>", "as for kedge up", defaultDataDir())
    .option("--nats-listen <host:port>", "where the server listens; default: 0.0.0.0 and the port above")
    .option("--nats-version <version>", "version of the server; default: 2.11.0");
  command.action(async (options: NatsConfigOptions) => {
    // Loaded on demand: no other command but up needs it.
    const { writeNatsConfig } = await import("@kedge/controller");
    const { out: outDir, store: storeDir, natsVersion, ...rest } = options;
    const version = natsVersion === undefined ? {} : { serverVersion: natsVersion };
    const path = await writeNatsConfig({ ...rest, ...version, outDir, storeDir, logger: silentLogger });
    createOutput(host, false).raw(`Start it:   nats-server -c ${path}`);
  });
  program.addCommand(command);
};
