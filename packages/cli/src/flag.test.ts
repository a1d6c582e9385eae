import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startController } from "@kedge/controller";
import { silentLogger, systemClock } from "@kedge/kernel";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandResult, kedge as runLine } from "./testing/command-line.ts";

const FLAG = readFileSync(new URL("../examples/flag.yaml", import.meta.url), "utf8");

describe("kedge flag", () => {
  let folder: string;
  let env: Readonly<Record<string, string>> = {};
  let stop = async (): Promise<void> => {};
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kedge-cli-flag-"));
    const free = "127.0.0.1:0";
    const listen = { listen: free, natsListen: free, httpListen: free };
    const options = { ...listen, env: process.env, logger: silentLogger, clock: systemClock };
    const dataDir = join(folder, "controller");
    const controller = await startController({ ...options, dataDir }, new AbortController().signal);
    stop = () => controller.stop();
    await writeFile(join(folder, "ca.pem"), controller.caPem);
    await writeFile(join(folder, "ranker.yaml"), FLAG);
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

  const flag = (...args: string[]): Promise<CommandResult> => runLine(["flag", ...args], { folder, env });
  const printed = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await flag(...args);
    expect([code, stderr]).toEqual([0, ""]);
    return stdout;
  };

  it("evaluates a file before it is applied, without a controller", async () => {
    const file = join(folder, "ranker.yaml");
    const args = ["flag", "eval", "-f", file, "--attr", "country=de", "--attr", "age:=42", "--key", "ann"];
    const { code, stdout } = await runLine(args, { folder });
    expect([code, stdout]).toEqual([
      0,
      '"cross-encoder"  variant new  TARGETING_MATCH\n  rule germans holds: new\n  served: new\n',
    ]);
    const young = await runLine(["flag", "eval", "-f", file, "--attr", "country=de", "--attr", "age=42"], { folder });
    expect(young.stdout).toContain("rule germans: age >= 18 does not hold");
    expect(young.stdout).toContain("ERROR TARGETING_KEY_MISSING");
  });

  it("applies, shows and explains", async () => {
    const file = join(folder, "ranker.yaml");
    expect(await printed("apply", "-f", file, "-m", "first try")).toBe(
      "applied\nflag ranker, generation 1, is on: old, after 2 rules\n",
    );
    expect(await printed("apply", "-f", file)).toMatch(/^nothing to change\n/);
    expect(await printed("list")).toMatch(/^FLAG +TYPE +STATE .*\nranker +string +on +old/);
    const shown = await printed("get", "ranker");
    await writeFile(join(folder, "again.yaml"), shown);
    expect(await printed("apply", "-f", join(folder, "again.yaml"))).toMatch(/^nothing to change\n/);
    expect(await printed("eval", "ranker", "--key", "ann")).toContain(
      "rule ramp holds: new 10 %, old 90 % by targetingKey",
    );
    expect(JSON.parse(await printed("eval", "ranker", "--json")).evaluation).toMatchObject({
      ...{ reason: "ERROR", errorCode: "TARGETING_KEY_MISSING" },
    });
  });

  it("changes parts of it, and tells who did that", async () => {
    expect(await printed("set", "ranker", "new", "-m", "it is better")).toContain(
      "generation 2, is on: new, after 2 rules",
    );
    expect(await printed("off", "ranker", "-m", "incident 7")).toContain("generation 3, is off: old");
    expect(await printed("eval", "ranker", "--key", "ann")).toContain("DISABLED");
    expect(await printed("on", "ranker")).toContain("generation 4, is on");
    expect(await printed("delete", "ranker", "-m", "all have it")).toBe("deleted ranker\n");
    const lines = (await printed("history", "ranker")).trimEnd().split("\n").slice(1);
    expect(lines.map((line) => line.split(/ {2,}/).slice(1))).toEqual([
      ["ranker", "-", "admin", "deleted", "all have it"],
      ["ranker", "4", "admin", "turned on", "-"],
      ["ranker", "3", "admin", "turned off", "incident 7"],
      ["ranker", "2", "admin", "default: old -> new", "it is better"],
      ["ranker", "1", "admin", "created", "first try"],
    ]);
    expect(JSON.parse(await printed("history", "--limit", "2", "--json")).changes).toHaveLength(2);
  });

  it("says what is wrong", async () => {
    await writeFile(join(folder, "bad.yaml"), FLAG.replace("default: old", "default: odl"));
    const bad = await flag("apply", "-f", join(folder, "bad.yaml"));
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain(`bad.yaml:7:10: error: no variant is called "odl" (did you mean "old"?)`);
    expect(await flag("get", "ranker")).toMatchObject({ code: 5, stderr: expect.stringContaining("FLAG_NOT_FOUND") });
    await flag("apply", "-f", join(folder, "ranker.yaml"));
    const none = await flag("set", "ranker", "best");
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining("it has old, new") });
    expect((await flag("get", "ranke")).stderr).toContain("did you mean ranker?");
    expect((await flag("eval", "ranker", "--attr", "age:=x")).stderr).toContain("is not JSON");
  });

  it("completes names", async () => {
    const { stdout } = await runLine(["__complete", "flags"], { folder, env });
    expect(stdout).toBe("ranker\n");
    expect((await runLine(["completion", "bash"], { folder })).stdout).toContain('"flag eval") words=');
  });
});
