// A Docker Engine that answers: the one that runs, or one that we start and end again.
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { findProgram, SetupError } from "./platform.mjs";
import { say } from "./run.mjs";

const socketPath = "/var/run/docker.sock";
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;

/** Resolves to a function that ends the engine if it was started here, else does nothing. */
export async function ensureDocker() {
  if (process.env.DOCKER_HOST || (await answers())) return async () => {};
  const dockerd = findProgram("dockerd");
  if (dockerd === undefined || process.getuid?.() !== 0) {
    throw new SetupError(
      "the Docker Engine does not answer on /var/run/docker.sock, and only root can start it from here; " +
        "start it (sudo systemctl start docker), set DOCKER_HOST, or run with --no-docker",
    );
  }
  const log = join(homedir(), ".cache/kedge/dockerd.log");
  mkdirSync(dirname(log), { recursive: true });
  say(`starting the Docker Engine (it ends with this command; its log is ${log})`);
  const fd = openSync(log, "w");
  const engine = spawn(dockerd, [], { stdio: ["ignore", fd, fd], detached: true });
  closeSync(fd);
  const ended = new Promise((done) => engine.once("exit", done));
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers())) {
    if (engine.exitCode !== null || Date.now() > deadline) {
      throw new SetupError(
        `the Docker Engine did not start:\n${readFileSync(log, "utf8").split("\n").slice(-8).join("\n")}`,
      );
    }
    await sleep(200);
  }
  return async () => {
    engine.kill("SIGTERM");
    const late = sleep(STOP_TIMEOUT_MS).then(() => "late");
    if ((await Promise.race([ended, late])) === "late") engine.kill("SIGKILL");
  };
}

function answers() {
  return new Promise((done) => {
    const ping = request({ socketPath, path: "/_ping", timeout: 3000 }, (response) => {
      response.resume();
      done(response.statusCode === 200);
    });
    ping.on("timeout", () => ping.destroy());
    ping.on("error", () => done(false));
    ping.end();
  });
}

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms).unref());
}
