import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { startController } from "@kedge/controller";
import { silentLogger, systemClock } from "@kedge/kernel";
import { parseRepository } from "@kedge/pipeline/forge";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandResult, kedge as runLine } from "./testing/command-line.ts";

const run = promisify(execFile);

describe("kedge repo", () => {
  let folder: string;
  let env: Readonly<Record<string, string>> = {};
  let stop = async (): Promise<void> => {};
  const git = (...args: string[]) =>
    run("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], { cwd: join(folder, "shop") });
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kedge-cli-repo-"));
    const free = "127.0.0.1:0";
    const listen = { listen: free, natsListen: free, httpListen: free };
    const options = { ...listen, env: process.env, logger: silentLogger, clock: systemClock };
    const dataDir = join(folder, "controller");
    const controller = await startController({ ...options, dataDir }, new AbortController().signal);
    stop = () => controller.stop();
    await writeFile(join(folder, "ca.pem"), controller.caPem);
    await run("git", ["init", "--quiet", "--initial-branch=main", "shop"], { cwd: folder });
    await writeFile(
      join(folder, "shop", "kedge.yaml"),
      'name: shop\non: { push: , cron: "H 3 * * *" }\njobs: { ask: { approval: { message: "?" } } }\n',
    );
    await git("add", ".");
    await git("commit", "--quiet", "-m", "one");
    await writeFile(join(folder, "repository.yaml"), `repository: shop\nurl: ${join(folder, "shop")}\npoll: 1h\n`);
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

  const repo = (...args: string[]): Promise<CommandResult> => runLine(["repo", ...args], { folder, env });
  const printed = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await repo(...args);
    expect([code, stderr]).toEqual([0, ""]);
    return stdout;
  };

  it("shows a file in its help that it takes", async () => {
    const { stdout } = await runLine(["help", "repo", "apply"], { folder });
    const [, file = ""] = /^( {2}repository: [\s\S]*)/m.exec(stdout) ?? [];
    expect(parseRepository(file.replaceAll(/^ {2}/gm, "")).diagnostics).toEqual([]);
  });

  it("refuses a wrong file by place", async () => {
    await writeFile(join(folder, "wrong.yaml"), "repository: shop\nurl: /x\nforge: svn\n");
    const { code, stderr } = await repo("apply", join(folder, "wrong.yaml"));
    expect([code, stderr]).toEqual([2, expect.stringMatching(/wrong\.yaml:3:8: error/)]);
  });

  it("applies, lists, shows, polls and deletes", async () => {
    const file = join(folder, "repository.yaml");
    expect(await printed("apply", file)).toBe("repository shop, generation 1\nit takes no webhooks\n");
    expect(await printed("list")).toMatch(/^REPOSITORY .*\nshop +- /);
    expect(await printed("get", "shop", "--file")).toBe(`repository: shop\nurl: ${join(folder, "shop")}\npoll: 1h\n`);
    expect(await printed("poll", "shop")).toBe("1 branches\n");
    await git("commit", "--quiet", "--allow-empty", "-m", "two");
    expect(await printed("poll", "shop")).toMatch(/^1 branches\nstarted run [0-9a-z]{26}\n$/);
    expect(JSON.parse(await printed("get", "shop", "--json"))).toMatchObject({
      repository: { name: "shop" },
      state: { polled: true },
    });
    expect(await printed("deliveries", "shop")).toBe("no webhook came in\n");
    expect(await repo("redeliver", "shop", "abcd")).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("DELIVERY_NOT_FOUND"),
    });
    expect(await printed("delete", "shop")).toBe("deleted shop\n");
    expect(await repo("get", "shopp")).toMatchObject({ stderr: expect.stringContaining("REPOSITORY_NOT_FOUND") });
  });
});
