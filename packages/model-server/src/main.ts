import { errorMessage, isKedgeError } from "@kedge/domain";
import { aborted, createLogger, type Logger, systemClock, terminationSignal } from "@kedge/kernel";
import { readConfig, type ServerConfig } from "./config.ts";
import { evaluateCommand } from "./evaluate/evaluate-command.ts";
import { FlagFile } from "./flags/flag-file.ts";
import { ModelHost } from "./model-host.ts";
import { quantizeCommand } from "./quantize/quantize-command.ts";
import { createServer } from "./server.ts";

/** Listens, loads, serves until the signal aborts, then lets requests end within the grace period. */
async function serve(config: ServerConfig, logger: Logger, signal: AbortSignal): Promise<void> {
  const flags = config.flagsFile === undefined ? undefined : new FlagFile(config.flagsFile, logger);
  flags?.start();
  const host = new ModelHost({ config, clock: systemClock, logger, flags: () => flags?.set });
  const server = createServer(host, logger);
  const address = await server.listen({ host: config.host, port: config.port });
  logger.info({ address, config }, "model server listens");
  await Promise.race([host.load(signal), aborted(signal)]);
  await aborted(signal);
  host.drain();
  flags?.stop();
  logger.info({ pending: host.admission.inside }, "model server stops");
  const closed = server.close().then(() => true);
  const inTime = await Promise.race([closed, systemClock.sleep(config.graceMs).then(() => false)]);
  if (inTime) await host.release();
  else logger.warn({ pending: host.admission.inside }, "grace period over, requests are cut off");
}

async function main(): Promise<number> {
  const signal = terminationSignal();
  const [command, ...args] = process.argv.slice(2);
  try {
    if (command === "evaluate") await evaluateCommand(args, signal);
    else if (command === "quantize") await quantizeCommand(args);
    else await start(signal);
    return 0;
  } catch (error) {
    const reason = isKedgeError(error) ? error.reason : "INTERNAL";
    process.stderr.write(`kedge-model-server: ${reason}: ${errorMessage(error).replaceAll(/\s+/g, " ")}\n`);
    return 1;
  }
}

async function start(signal: AbortSignal): Promise<void> {
  const config = readConfig(process.argv.slice(2), process.env);
  const logger = createLogger({ name: "model-server", level: config.logLevel }).child({
    deployment: config.name,
    modelVersion: config.version,
    nodeId: config.node,
    revision: config.revision,
  });
  // A promise a handler forgot about must not end the process that other requests are in.
  process.on("unhandledRejection", (reason) => logger.error({ err: reason }, "a promise of the handler was rejected"));
  await serve(config, logger, signal);
}

// Explicit, since a handler's timers or sockets may keep the event loop alive.
process.exit(await main());
