import { createHmac } from "node:crypto";
import { Forge, HookDeliveryState, type Run, RunState, SourceEvent } from "@kedge/proto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ControllerHarness } from "../testing/controller-harness.ts";
import { eventually } from "../testing/eventually.ts";
import { TestForge } from "./testing/forge.ts";

const FILE = (name: string, on: string): string => `name: ${name}
on: ${on}
jobs: { ok: { approval: { message: "Go on?" } } }
`;
const { DONE, FAILED, IGNORED } = HookDeliveryState;

describe("webhooks", () => {
  let harness: ControllerHarness;
  let forge: TestForge;
  beforeAll(async () => {
    harness = await ControllerHarness.start();
  });
  afterAll(() => harness.stop());
  beforeEach(async () => {
    forge = await TestForge.start(harness);
  });
  afterEach(async () => {
    await forge.repositories.deleteRepository({ name: "shop" }).catch(() => {});
    await forge.stop();
  });

  const newest = async (state?: HookDeliveryState) => {
    const list = () => forge.repositories.listHookDeliveries({ repository: "shop" });
    const isDone = (it: Awaited<ReturnType<typeof list>>): boolean => {
      const last = it.deliveries[0]?.state;
      return state === undefined ? (last ?? 0) > HookDeliveryState.PENDING : last === state;
    };
    const [delivery] = (await eventually(list, isDone)).deliveries;
    if (delivery === undefined) throw new Error("there is no delivery");
    return delivery;
  };
  const runOf = async (runIds: readonly string[]): Promise<Run> => {
    expect(runIds).toHaveLength(1);
    return harness.run(runIds[0] ?? "");
  };

  it("start what the pushed commit's file wants, with what the forge vouches for", async () => {
    const first = await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ push: { paths: [src/**] } }") });
    const second = await forge.origin.commit({ "src/a.ts": "1" }, "better");
    await forge.apply();
    const { status } = await forge.send(forge.push(second, { before: first }));
    expect(status).toBe(202);
    const { runIds, message } = await newest(DONE);
    expect(message).toBe("started a run");
    const run = await runOf(runIds);
    expect(run).toMatchObject({ pipeline: "shop", submittedBy: "repository/shop/ann" });
    expect(run.source).toMatchObject({
      repository: forge.origin.url,
      repositoryName: "shop",
      commit: second,
      branch: "main",
      event: SourceEvent.PUSH,
      fork: false,
      sender: "ann",
      author: "somebody",
      message: "better",
      changed: ["src/a.ts"],
    });
  });

  it("start nothing when no path fits, the head asks for it, the branch is gone, or it is another repository", async () => {
    const first = await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ push: { paths: [src/**] } }") });
    const docs = await forge.origin.commit({ "docs/a.md": "1" });
    const skipped = await forge.origin.commit({ "src/a.ts": "1" }, "x [skip ci]");
    await forge.apply();
    await forge.send(forge.push(docs, { before: first }));
    expect(await newest(IGNORED)).toMatchObject({ message: "no trigger fits" });
    await forge.send(forge.push(skipped, { before: docs }));
    await eventually(
      () => newest(),
      ({ message }) => message === "the head commit asks for no runs",
    );
    await forge.send(forge.push("0".repeat(40), { before: docs }));
    await eventually(
      () => newest(),
      ({ message }) => message === "branch was deleted",
    );
    await forge.send(forge.push(docs, { repository: { id: 2, full_name: "team/other" } }));
    await eventually(
      () => newest(),
      ({ message }) => /^it is about "team\/other"/.test(message),
    );
  });

  it("that come twice, also under another id, start one run", async () => {
    const commit = await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ push: }") });
    await forge.apply();
    const body = forge.push(commit);
    expect((await forge.send(body)).status).toBe(202);
    await newest(DONE);
    expect((await forge.send(body, { headers: { "x-github-delivery": "made-up" } })).status).toBe(200);
    const together = forge.push(commit, { ref: "refs/heads/main", forced: true });
    const answers = await Promise.all(Array.from({ length: 5 }, () => forge.send(together)));
    expect(answers.map(({ status }) => status).filter((status) => status === 202)).toHaveLength(1);
    await newest(DONE);
    const { deliveries } = await forge.repositories.listHookDeliveries({ repository: "shop", state: DONE });
    expect(deliveries.slice(0, 2).map(({ runIds }) => runIds.length)).toEqual([1, 1]);
    const { delivery } = await forge.repositories.redeliverHook({ repository: "shop", id: deliveries[0]?.id ?? "" });
    expect(delivery?.redeliveries).toBe(1);
    const again = await newest(DONE);
    expect(again.runIds).toHaveLength(2);
  });

  it("are refused unless they are signed", async () => {
    const commit = await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ push: }") });
    await forge.apply();
    const before = (await forge.repositories.listHookDeliveries({ repository: "shop" })).deliveries.length;
    const body = JSON.stringify(forge.push(commit));
    const sha1 = `sha1=${createHmac("sha1", "hook-secret").update(body).digest("hex")}`;
    const unsigned = { "x-hub-signature-256": "", "x-hub-signature": sha1 };
    expect((await forge.send(body, { secret: "wrong" })).status).toBe(401);
    expect((await forge.send(body, { headers: unsigned })).status).toBe(401);
    expect((await forge.send(body, { secret: "" })).status).toBe(401);
    const both = `sha256=${"0".repeat(64)}, sha256=${createHmac("sha256", "hook-secret").update(body).digest("hex")}`;
    expect((await forge.send(body, { headers: { "x-hub-signature-256": both } })).status).toBe(401);
    expect((await forge.send(body, { path: "/hooks/none" })).status).toBe(404);
    expect((await forge.send(body, { path: "/hooks/..%2fshop" })).status).toBe(404);
    expect((await forge.send("x".repeat(26 * 1024 * 1024))).status).toBe(413);
    expect((await forge.repositories.listHookDeliveries({ repository: "shop" })).deliveries).toHaveLength(before);
  });

  it("that are signed and make no sense end, and hold up nothing", async () => {
    const commit = await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ push: }") });
    await forge.apply();
    const push = JSON.stringify(forge.push(commit));
    const bodies = [
      "",
      "{",
      "null",
      "[]",
      "payload=%",
      "payload=[1]",
      push.slice(1),
      push.replace("refs/heads/main", "refs/heads/-x"),
    ];
    const odd = [
      ...bodies,
      push.replace(commit, "f".repeat(39)),
      push.replace("refs/heads/main", "refs/heads/\\u0000"),
      `{"a":${"[".repeat(9_000)}`,
    ];
    for (const body of odd) expect((await forge.send(body)).status).toBe(202);
    const events = ["x".repeat(200), "../../x", "__proto__", "constructor"];
    for (const event of events) expect((await forge.send(`${push} ${event}`.trim(), { event })).status).toBe(202);
    expect((await forge.send(forge.push(commit))).status).toBe(202);
    const list = () => forge.repositories.listHookDeliveries({ repository: "shop", pageSize: 100 });
    const { deliveries } = await eventually(list, (it) => it.deliveries.every(({ state }) => state > 1));
    const states = deliveries.slice(0, odd.length + events.length + 1).map(({ state }) => state);
    expect(states.filter((state) => state === DONE)).toHaveLength(1);
    expect(states.filter((state) => state === FAILED || state === IGNORED)).toHaveLength(odd.length + events.length);
  });

  it("as large as they may be are answered at once", async () => {
    const commit = await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ push: }") });
    await forge.apply();
    const body = JSON.stringify(forge.push(commit, { padding: "x".repeat(24 * 1024 * 1024) }));
    expect((await forge.send(body)).status).toBe(202);
    expect((await newest(DONE)).bytes).toBe(Buffer.byteLength(body));
  });

  it("are not there at all without a secret, or with one that has no value", async () => {
    await forge.apply({ webhookSecrets: [] });
    expect((await forge.send(forge.push("a".repeat(40)))).status).toBe(404);
    await forge.apply({ webhookSecrets: ["MISSING"] });
    expect((await forge.send(forge.push("a".repeat(40)))).status).toBe(404);
  });

  it("of forks run the base's file, and wait for a person, whatever their commits say", async () => {
    await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ pull-request: }") });
    await forge.origin.git("checkout", "--quiet", "-b", "topic");
    const evil = await forge.origin.commit({ "kedge.yaml": FILE("stolen", "{ pull-request: , push: }") });
    await forge.origin.git("update-ref", "refs/pull/12/head", evil);
    await forge.origin.git("checkout", "--quiet", "main");
    await forge.apply({ trustedSenders: ["ann", "somebody"] });
    await forge.send(forge.pullRequest({ ref: "topic", sha: evil, isFork: true }), { event: "pull_request" });
    const run = await runOf((await newest(DONE)).runIds);
    expect(run).toMatchObject({ pipeline: "shop", state: RunState.BLOCKED });
    expect(run.source).toMatchObject({
      commit: evil,
      fork: true,
      sender: "eve",
      trustedSender: false,
      pullRequest: 12n,
      baseBranch: "main",
      changed: ["kedge.yaml"],
    });
    const trusted = forge.pullRequest({ ref: "topic", sha: evil, isFork: true }, "ann");
    await forge.send(trusted, { event: "pull_request" });
    const second = await eventually(
      () => newest(DONE),
      ({ source }) => source?.sender === "ann",
    );
    expect((await runOf(second.runIds)).source).toMatchObject({ fork: true, trustedSender: true });
  });

  it("of the other forges are understood as well", async () => {
    const commit = await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ tag: v* }") });
    await forge.origin.git("tag", "-a", "v1", "-m", "one");
    const tag = (await forge.origin.git("rev-parse", "refs/tags/v1")).trim();
    await forge.apply({ forge: Forge.GITLAB });
    const gitlab = {
      ref: "refs/tags/v1",
      before: "0".repeat(40),
      after: tag,
      checkout_sha: commit,
      user_username: "ann",
      project: { id: 1, path_with_namespace: "team/shop" },
    };
    const event = { "x-gitlab-event": "Tag Push Hook", "x-gitlab-event-uuid": commit };
    expect((await forge.send(gitlab, { headers: { ...event, "x-gitlab-token": "hook-secret" } })).status).toBe(202);
    expect((await runOf((await newest(DONE)).runIds)).source).toMatchObject({ tag: "v1", branch: "", commit });
    await forge.apply({ forge: Forge.GITEA });
    const body = JSON.stringify(forge.push(tag, { ref: "refs/tags/v1" }));
    const signature = createHmac("sha256", "hook-secret").update(body).digest("hex");
    const headers = { "x-gitea-event": "push", "x-gitea-delivery": "d", "x-gitea-signature": signature };
    expect((await forge.send(body, { headers })).status).toBe(202);
    const delivery = await eventually(
      () => newest(DONE),
      ({ forgeId }) => forgeId === "d",
    );
    expect((await runOf(delivery.runIds)).source).toMatchObject({ tag: "v1", commit, event: SourceEvent.TAG });
  });

  it("with files that cannot be run say so, to people and to the forge", async () => {
    const commit = await forge.origin.commit({ "kedge.yaml": "name: shop\njobs: { a: { stps: [] } }\n" });
    await forge.apply();
    await forge.send(forge.push(commit));
    expect((await newest(FAILED)).message).toMatch(/^file kedge\.yaml: kedge\.yaml:2:[\s\S]*did you mean "steps"/);
    await eventually(
      () => forge.statuses(),
      (all) => all.includes("kedge/pipelines/push error"),
    );
  });

  it("that nobody can fetch yet are tried again", async () => {
    const commit = await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ push: }") });
    await forge.apply();
    const later = "b".repeat(40);
    await forge.send(forge.push(later));
    const pending = await eventually(
      async () => (await forge.repositories.listHookDeliveries({ repository: "shop" })).deliveries[0],
      (it) => it?.message.startsWith("git:") === true,
    );
    expect(pending).toMatchObject({ state: HookDeliveryState.PENDING, attempts: 1 });
    // It holds up no other.
    await forge.send(forge.push(commit));
    await newest(DONE);
  });

  it("that were stored and not processed are processed by the next controller", async () => {
    const commit = await forge.origin.commit({ "kedge.yaml": FILE("shop", "{ push: }") });
    // While its repository cannot be reached, the delivery stays pending: then the controller goes.
    const { url } = forge.origin;
    await forge.apply();
    await forge.origin.hide();
    expect((await forge.send(forge.push(commit))).status).toBe(202);
    await harness.stopController();
    await forge.origin.show();
    await harness.startController();
    const run = await runOf((await newest(DONE)).runIds);
    expect(run.source).toMatchObject({ commit, repository: url });
    // The forge sends again what it got no answer to.
    const { deliveries } = await forge.repositories.listHookDeliveries({ repository: "shop" });
    expect(deliveries[0]?.runIds).toHaveLength(1);
  });
});
