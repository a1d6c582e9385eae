import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startController } from "@kedge/controller";
import { silentLogger, systemClock } from "@kedge/kernel";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandResult, kedge as runLine } from "./testing/command-line.ts";

const VALUE = "s3cr3t-value-7c1e";

describe("kedge secret", () => {
  let folder: string;
  let env: Readonly<Record<string, string>> = {};
  let stop = async (): Promise<void> => {};
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kedge-cli-secret-"));
    const free = "127.0.0.1:0";
    const listen = { listen: free, natsListen: free, httpListen: free };
    const secretKeyFile = join(folder, "shared.key");
    const options = { ...listen, secretKeyFile, env: process.env, logger: silentLogger, clock: systemClock };
    const dataDir = join(folder, "controller");
    const controller = await startController({ ...options, dataDir }, new AbortController().signal);
    stop = () => controller.stop();
    await writeFile(join(folder, "ca.pem"), controller.caPem);
    await writeFile(join(folder, "value"), VALUE);
    await writeFile(join(folder, "short"), "12345");
    env = {
      KEDGE_ADDRESS: controller.address,
      KEDGE_TOKEN: controller.adminToken,
      KEDGE_CA_FILE: join(folder, "ca.pem"),
    };
  });
  afterAll(async () => {
    await stop();
    await rm(folder, { recursive: true, force: true });
  });

  const secret = async (...args: string[]): Promise<CommandResult> => {
    const result = await runLine(["secret", ...args], { folder, env });
    expect(result.stdout + result.stderr).not.toContain(VALUE);
    return result;
  };
  const fromFile = (name: string, file: string, ...args: string[]) =>
    secret("set", name, "--from-file", join(folder, file), ...args);

  it("sets, scopes and lists without showing a value", async () => {
    const made = await fromFile("DEPLOY_TOKEN", "value", "--environment", "production", "--branch", "main");
    expect([made.code, made.stdout]).toEqual([
      0,
      expect.stringMatching(/\nDEPLOY_TOKEN +1 +any +production +main +admin/),
    ]);
    // A new value stays where the old one was; only on purpose it goes elsewhere.
    expect((await fromFile("DEPLOY_TOKEN", "value")).stdout).toMatch(/\nDEPLOY_TOKEN +2 +any +production +main /);
    expect((await fromFile("DEPLOY_TOKEN", "value", "--everywhere")).stdout).toMatch(
      /\nDEPLOY_TOKEN +3 +any +any +any /,
    );
    expect((await secret("list")).stdout).toMatch(/^SECRET .*\nDEPLOY_TOKEN +3 .* yes\n$/);
    expect(JSON.parse((await secret("list", "--json")).stdout).secrets).toEqual([
      expect.objectContaining({ name: "DEPLOY_TOKEN", version: 3, updatedBy: "admin" }),
    ]);
    const names = await runLine(["__complete", "secrets"], { folder, env });
    expect(names.stdout).toBe("DEPLOY_TOKEN\n");
  });

  it("warns of values that logs cannot be freed of", async () => {
    const { code, stderr } = await fromFile("PIN", "short");
    expect([code, stderr]).toEqual([
      0,
      "warning: PIN is too short to be masked in logs; take one of 6 bytes or more\n",
    ]);
    expect((await secret("list")).stdout).toMatch(/\nPIN .* no, too short\n/);
  });

  it("takes no value as an argument, and refuses what cannot be meant", async () => {
    expect((await secret("set", "X", "an-argument")).code).toBe(2);
    const both = await fromFile("X", "value", "--everywhere", "--pipeline", "shop");
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining("--everywhere contradicts --pipeline")]);
    expect((await fromFile("no.dots", "value")).stderr).toContain("INVALID_FIELD: name: a letter or _");
    expect((await fromFile("X", "absent")).stderr).toContain("cannot read");
    await writeFile(join(folder, "empty"), "");
    expect((await fromFile("X", "empty")).stderr).toContain("no value was given for X");
    expect((await secret("delete", "DEPLOY_TOKEM")).stderr).toContain("did you mean DEPLOY_TOKEN?");
  });

  it("changes the key in the file that was named", async () => {
    const before = await readFile(join(folder, "shared.key"), "utf8");
    const { stdout } = await secret("rotate-key");
    expect(stdout).toMatch(/^key [0-9a-f]{16} is in use; 2 secrets were encrypted with it anew/);
    expect(await readFile(join(folder, "shared.key"), "utf8")).not.toBe(before);
    expect((await secret("delete", "PIN")).stdout).toBe("deleted PIN\n");
  });

  it("takes parameters from files, out of the sight of who lists processes", async () => {
    const pipeline = `name: p\nparameters: { password: { type: secret } }\njobs:\n  gate:\n    approval: {}\n`;
    await writeFile(
      join(folder, "p.yaml"),
      `${pipeline}  use:\n    needs: [gate]\n    secrets: [{ parameter: password, env: P }]\n    steps: [{ run: "true" }]\n`,
    );
    const args = ["run", "submit", "-f", join(folder, "p.yaml"), "--param-file", `password=${join(folder, "value")}`];
    const { code, stdout, stderr } = await runLine([...args, "--json"], { folder, env });
    expect([code, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout).run).toMatchObject({ parameters: { password: "***" }, secretParameters: ["password"] });
    expect(stdout).not.toContain(VALUE);
  });
});
