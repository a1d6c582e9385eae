import { createHmac } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HookDeliveryState } from "@kedge/proto";
import { runGit } from "@kedge/runtime/git";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../setup/cluster.ts";
import { kedge } from "../setup/kedge.ts";
import { waitUntil } from "../setup/wait-for.ts";

const SECRET = "what the forge signs with";
const PUSHES = 40;
const KILLS = 4;
const PIPELINE = `name: shop
on: { push: }
jobs: { ask: { approval: { message: "Go on?" } } }
`;

describe("webhooks while the controller is killed", () => {
  let cluster: Cluster;
  let origin: string;
  const git = (...args: string[]): Promise<string> =>
    runGit(["-c", "user.name=a", "-c", "user.email=a@b", ...args], {
      directory: origin,
      signal: AbortSignal.timeout(30_000),
    });

  beforeAll(async () => {
    cluster = await Cluster.start([]);
    origin = cluster.folder;
    await git("init", "--quiet", "team/shop");
    origin = join(cluster.folder, "team", "shop");
    await writeFile(join(origin, "kedge.yaml"), PIPELINE);
    await git("add", ".");
    await git("commit", "--quiet", "-m", "one");
    const secret = join(cluster.folder, "secret");
    await writeFile(secret, SECRET);
    const file = join(cluster.folder, "repository.yaml");
    await writeFile(file, `repository: shop\nurl: ${origin}\nforge: github\nwebhook-secrets: [SHOP_HOOK]\n`);
    const set = await kedge(cluster.env, "secret", "set", "SHOP_HOOK", "--pipeline", "none", "--from-file", secret);
    expect(set, set.stderr).toMatchObject({ code: 0 });
    expect(await kedge(cluster.env, "repo", "apply", file)).toMatchObject({ code: 0 });
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  /** Sends until somebody answers, as a forge's people would have it sent again. */
  async function send(body: string): Promise<void> {
    const signature = `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`;
    const headers = { "x-hub-signature-256": signature, "x-github-event": "push", "x-github-delivery": "any" };
    const url = `http://${cluster.httpAddress}/hooks/shop`;
    await waitUntil("a webhook is taken", async () => {
      const status = await fetch(url, { method: "POST", body, headers }).then(
        (response) => response.status,
        (error: unknown) => String(error),
      );
      return { ok: status === 202 || status === 200, seen: status };
    });
  }

  it("starts one run for each push, none lost and none twice", async () => {
    const commits: string[] = [];
    for (let i = 0; i < PUSHES; i++) {
      await git("commit", "--quiet", "--allow-empty", "-m", `push ${i}`);
      commits.push((await git("rev-parse", "HEAD")).trim());
    }
    const killing = (async () => {
      for (let i = 0; i < KILLS; i++) {
        const before = i * Math.floor(PUSHES / KILLS);
        await waitUntil(`${before} deliveries are stored`, async () => {
          const { deliveries } = await cluster.client.repositories.listHookDeliveries({ pageSize: 1000 });
          return { ok: deliveries.length > before, seen: deliveries.length };
        });
        await cluster.controller.kill("SIGKILL");
        cluster.controller.restart();
      }
    })();
    for (const after of commits) {
      const repository = { id: 1, full_name: "team/shop" };
      const ids = { ref: "refs/heads/main", before: "0".repeat(40), after };
      await send(JSON.stringify({ ...ids, forced: false, commits: [], repository, sender: { login: "ann" } }));
    }
    await killing;
    await waitUntil("all deliveries are processed", async () => {
      const { deliveries } = await cluster.client.repositories.listHookDeliveries({ pageSize: 1000 });
      const done = deliveries.filter(({ state }) => state === HookDeliveryState.DONE);
      return { ok: done.length === PUSHES, seen: deliveries.map(({ state, message }) => `${state} ${message}`) };
    });
    const { runs } = await cluster.client.runs.listRuns({ pageSize: 1000 });
    expect(runs.map(({ source }) => source?.commit).toSorted()).toEqual(commits.toSorted());
  });
});
