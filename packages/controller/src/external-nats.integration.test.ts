import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNatsServer } from "@kedge/bus";
import { freePort, silentLogger } from "@kedge/kernel";
import { TokenService } from "@kedge/proto";
import { createRpcClient } from "@kedge/rpc";
import { expect, onTestFinished, test } from "vitest";
import { startController } from "./controller.ts";
import { writeNatsConfig } from "./nats-config.ts";

const logger = silentLogger;

test("a controller works with a NATS server that somebody else starts from the files written for it", async () => {
  const dir = await mkdtemp(join(tmpdir(), "kedge-external-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const natsExternal = `127.0.0.1:${await freePort()}`;
  const dataDir = join(dir, "controller");
  const outDir = join(dir, "conf");
  const shared = { dataDir, natsExternal, advertise: "localhost", logger };
  const path = await writeNatsConfig({ ...shared, outDir, storeDir: join(dir, "store"), natsListen: natsExternal });
  for (const file of ["nats.conf", "server.crt", "server.key"]) {
    expect({ file, mode: (await stat(join(outDir, file))).mode & 0o777 }).toEqual({ file, mode: 0o600 });
  }
  const certificate = await readFile(join(outDir, "server.crt"), "utf8");

  const { path: program } = await findNatsServer({ env: process.env });
  const server = spawn(program, ["-c", path], { stdio: "ignore" });
  const ended = once(server, "exit");
  onTestFinished(async () => {
    server.kill();
    await ended;
  });

  const ports = { listen: "127.0.0.1:0", httpListen: "127.0.0.1:0" };
  const controller = await startController({ ...shared, ...ports }, AbortSignal.timeout(30_000));
  onTestFinished(() => controller.stop());
  expect({ address: controller.natsAddress, pid: controller.natsPid() }).toEqual({ address: natsExternal, pid: 0 });
  const { address, caPem, adminToken: token } = controller;
  const tokens = createRpcClient(TokenService, { address, caPem, token });
  onTestFinished(() => tokens.close());
  const { tokens: known } = await tokens.listTokens({});
  expect(known.map(({ name }) => name)).toEqual(["admin"]);

  // The controller made no other certificate, and writing again changes none: the server need not be restarted.
  await writeNatsConfig({ ...shared, outDir, storeDir: join(dir, "store"), natsListen: natsExternal });
  expect(await readFile(join(outDir, "server.crt"), "utf8")).toBe(certificate);
  await controller.stop();
  expect(server.exitCode).toBeNull();
});

test("the place of the server must be known", async () => {
  const options = { dataDir: "/nowhere", outDir: "/nowhere", storeDir: "/nowhere", logger };
  await expect(writeNatsConfig(options)).rejects.toMatchObject({ reason: "INVALID_OPTION", field: "natsExternal" });
});
