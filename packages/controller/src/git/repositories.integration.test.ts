import { Forge, RepositoryService, Role, SourceEvent } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControllerHarness } from "../testing/controller-harness.ts";
import { eventually } from "../testing/eventually.ts";
import { type RepositoryInit, TestForge } from "./testing/forge.ts";

const FILE = (on: string): string => `name: shop
on: ${on}
jobs: { ask: { approval: { message: "Go on?" } } }
`;
const HOUR_MS = 3_600_000;

describe("repositories", () => {
  let harness: ControllerHarness;
  let forge: TestForge;
  beforeEach(async () => {
    harness = await ControllerHarness.start();
    forge = await TestForge.start(harness);
  });
  afterEach(async () => {
    await forge.stop();
    await harness.stop();
  });

  const runs = async (isDone: (count: number) => boolean) =>
    (
      await eventually(
        () => harness.runs.listRuns({}),
        (it) => isDone(it.runs.length),
      )
    ).runs;
  const stateOf = (isDone: (state: Awaited<ReturnType<typeof look>>) => boolean) => eventually(look, isDone);
  const look = async () => (await forge.repositories.getRepository({ name: "shop" })).state;

  describe("tell their forge of runs", () => {
    const submit = async (commit: string) => {
      await forge.send(forge.push(commit));
      const [run] = await runs((count) => count > 0);
      if (run === undefined) throw new Error("there is no run");
      return run.id;
    };

    it("as they go on and end, each state once", async () => {
      const commit = await forge.origin.commit({ "kedge.yaml": FILE("{ push: }") });
      await forge.apply({ runUrl: "https://kedge.example/runs/{run}", statusContext: "ci" });
      const runId = await submit(commit);
      await eventually(
        () => forge.statuses(),
        (all) => all.length > 0 && forge.api.received.some(({ body }) => body.includes("waits for an approval")),
      );
      await harness.runs.approveJob({ runId, job: "ask" });
      await eventually(
        () => forge.statuses(),
        (all) => all.includes("ci/shop/push success"),
      );
      const { received } = forge.api;
      const last = received.at(-1);
      expect(last?.path).toBe(`/repos/team/shop/statuses/${commit}`);
      expect(last?.headers.authorization).toBe("Bearer api-token");
      expect(JSON.parse(last?.body ?? "")).toEqual({
        state: "success",
        context: "ci/shop/push",
        description: "1 of 1 job succeeded",
        target_url: `https://kedge.example/runs/${runId}`,
      });
      expect(new Set(received.map(({ body }) => body)).size).toBe(received.length);
      const { statuses } = await forge.repositories.getRepository({ name: "shop" });
      expect(statuses[0]).toMatchObject({ context: "ci/shop/push", error: "", attempts: 0 });
    });

    it("only of the newest state, once a forge that was down is back, also by another controller", async () => {
      const commit = await forge.origin.commit({ "kedge.yaml": FILE("{ push: }") });
      forge.api.answer = () => ({ status: 502 });
      await forge.apply();
      const runId = await submit(commit);
      await eventually(
        () => forge.api.received.length,
        (count) => count >= 2,
      );
      await harness.runs.rejectJob({ runId, job: "ask", comment: "no" });
      await harness.until(runId);
      await harness.stopController();
      forge.api.received.length = 0;
      forge.api.answer = () => ({ status: 201 });
      await harness.startController();
      harness.clock.skip(600_000);
      await eventually(
        () => forge.statuses(),
        (all) => all.length > 0,
      );
      await eventually(
        async () => (await forge.repositories.getRepository({ name: "shop" })).statuses[0],
        (status) => status?.told === status?.state,
      );
      expect(forge.statuses()).toEqual(["kedge/shop/push failure"]);
    });

    it("not again when it will never take it, until the repository is given other settings", async () => {
      const commit = await forge.origin.commit({ "kedge.yaml": FILE("{ push: }") });
      forge.api.answer = () => ({ status: 422 });
      await forge.apply();
      await submit(commit);
      const given = await eventually(
        async () => (await forge.repositories.getRepository({ name: "shop" })).statuses[0],
        (status) => status?.givenUp === true,
      );
      expect(given?.error).toMatch(/^HTTP 422/);
      forge.api.answer = () => ({ status: 201 });
      await forge.apply({ user: "robot" });
      await eventually(
        async () => (await forge.repositories.getRepository({ name: "shop" })).statuses[0],
        (status) => status?.givenUp === false && status.told === status.state,
      );
    });

    it("never at a private address, unless they say so", async () => {
      await expect(forge.apply({ allowPrivate: false })).rejects.toMatchObject({ reason: "INVALID_FIELD" });
      const commit = await forge.origin.commit({ "kedge.yaml": FILE("{ push: }") });
      await forge.apply({ allowPrivate: false, apiUrl: `http://localhost:${forge.api.port}` });
      await submit(commit);
      const status = await eventually(
        async () => (await forge.repositories.getRepository({ name: "shop" })).statuses[0],
        (it) => it !== undefined && it.error !== "",
      );
      expect(status?.error).toMatch(/is refused: it is private/);
      expect(forge.api.received).toEqual([]);
    });
  });

  describe("start runs by a schedule", () => {
    it("one for a tick, also when a tick was missed, and none for one that is too old", async () => {
      await forge.origin.commit({ "kedge.yaml": FILE('{ cron: "H * * * *" }') });
      await forge.apply();
      const [schedule] = (await stateOf((state) => state?.schedules[0]?.next !== undefined))?.schedules ?? [];
      expect(schedule?.pipeline).toBe("shop");
      expect((await harness.runs.listRuns({})).runs).toEqual([]);
      await harness.stopController();
      // Five ticks pass.
      harness.clock.skip(5 * HOUR_MS);
      await harness.startController();
      const [first] = await runs((count) => count === 1);
      expect(first?.source).toMatchObject({ event: SourceEvent.CRON, branch: "main", sender: "" });
      expect(first?.submittedBy).toBe("repository/shop");
      await harness.stopController();
      await harness.startController();
      const since = schedule?.since?.seconds ?? 0n;
      await stateOf((state) => (state?.schedules[0]?.since?.seconds ?? 0n) > since);
      expect((await harness.runs.listRuns({})).runs).toHaveLength(1);
    });

    it("with the parameters that it gives, of applied pipelines too", async () => {
      await forge.origin.commit({ "README.md": "x" });
      const source = `name: nightly
on: { cron: [{ schedule: "* * * * *", parameters: { level: 3 } }] }
parameters: { level: { type: number } }
jobs: { ask: { approval: { message: "level \${{ parameters.level }}" } } }
`;
      await harness.pipelines.applyPipeline({ source });
      await forge.apply({ pipelines: ["nightly"] });
      await stateOf((state) => state?.schedules.length === 1);
      harness.clock.skip(61_000);
      const again = source.replace("level: 3", "level: 4");
      await harness.pipelines.applyPipeline({ source: again });
      await stateOf((state) => state?.schedules[0]?.trigger?.parameters["level"] === "4");
      harness.clock.skip(61_000);
      await harness.pipelines.applyPipeline({ source: `${again}# ` });
      const { runs: all } = await eventually(
        () => harness.runs.listRuns({}),
        (it) => it.runs.some(({ parameters }) => parameters["level"] === "4"),
      );
      expect(new Set(all.map(({ pipeline }) => pipeline))).toEqual(new Set(["nightly"]));
    });
  });

  describe("are looked at for new heads", () => {
    it("which start runs, those that were there do not, and each does so once", async () => {
      const first = await forge.origin.commit({ "kedge.yaml": FILE("{ push: { branches: [main] } }") });
      await forge.apply({
        forge: Forge.UNSPECIFIED,
        webhookSecrets: [],
        tokenSecret: "",
        apiUrl: "",
        pollSeconds: 3600,
      });
      const state = await stateOf((it) => it?.polled === true);
      expect(state?.heads).toEqual({ main: first });
      expect((await harness.runs.listRuns({})).runs).toEqual([]);
      const second = await forge.origin.commit({ "src/a.ts": "1" });
      await forge.origin.git("branch", "other");
      const polled = await forge.repositories.pollRepository({ name: "shop" });
      expect(polled.runIds).toHaveLength(1);
      expect(polled.state?.heads).toEqual({ main: second, other: second });
      const run = await harness.run(polled.runIds[0] ?? "");
      expect(run.source).toMatchObject({ event: SourceEvent.POLL, commit: second, changed: ["src/a.ts"] });
      expect((await forge.repositories.pollRepository({ name: "shop" })).runIds).toEqual([]);
      await forge.origin.git("reset", "--quiet", "--hard", first);
      expect((await forge.repositories.pollRepository({ name: "shop" })).runIds).toHaveLength(1);
      await forge.origin.git("reset", "--quiet", "--hard", second);
      expect((await forge.repositories.pollRepository({ name: "shop" })).runIds).toHaveLength(1);
    });

    it("as often as a pipeline asks", async () => {
      await forge.origin.commit({ "kedge.yaml": FILE("{ poll: { every: 10s } }") });
      await forge.apply({ webhookSecrets: [] });
      await stateOf((it) => it?.polled === true);
      await forge.origin.commit({ a: "1" });
      harness.clock.skip(11_000);
      await forge.apply({ webhookSecrets: [], user: "wakes-it" });
      const [run] = await runs((count) => count > 0);
      expect(run).toMatchObject({ pipeline: "shop", source: { event: SourceEvent.POLL } });
    });

    it("and say why they cannot be", async () => {
      await forge.apply({ url: "/nowhere/team/shop", pollSeconds: 60 });
      const state = await stateOf((it) => it !== undefined && it.pollError !== "" && it.planError !== "");
      expect(state?.pollError).toMatch(/^git: fatal: '\/nowhere\/team\/shop' does not appear to be a git repository/);
    });
  });

  const BAD: [RepositoryInit, string][] = [
    [{ name: "Shop" }, "repository.name"],
    [{ url: "--upload-pack=x" }, "repository.url"],
    [{ url: "https://me:pw@h/x" }, "repository.url"],
    [{ webhookSecrets: ["ghp_looks like one"] }, "repository.webhook_secrets"],
    [{ files: ["../x"] }, "repository.files[0]"],
    [{ files: ["/etc/passwd"] }, "repository.files[0]"],
    [{ defaultBranch: "-x" }, "repository.default_branch"],
    [{ apiUrl: "http://169.254.169.254" }, "repository.api_url"],
    [{ runUrl: "javascript:alert(1)" }, "repository.run_url"],
    [{ pollSeconds: 1 }, "repository.poll_seconds"],
  ];
  it("that make no sense, or could do harm, are refused", async () => {
    for (const [settings, field] of BAD) {
      await expect(forge.apply(settings)).rejects.toMatchObject({ reason: "INVALID_FIELD", field });
    }
  });

  it("forget old deliveries and statuses, and all of them that is left when they are deleted", async () => {
    const commit = await forge.origin.commit({ "kedge.yaml": FILE("{ push: }") });
    await forge.apply();
    await forge.send(forge.push(commit));
    const list = () => forge.repositories.listHookDeliveries({});
    const [delivery] = (await eventually(list, (it) => it.deliveries.some(({ runIds }) => runIds.length > 0)))
      .deliveries;
    await forge.repositories.deleteRepository({ name: "shop" });
    const id = { repository: "shop", id: delivery?.id ?? "" };
    await forge.apply();
    await forge.repositories.redeliverHook(id);
    const [again] = (await eventually(list, (it) => it.deliveries[0]?.state !== 1)).deliveries;
    expect(again?.message).toMatch(/its body is no longer kept|started/);
    await harness.stopController();
    harness.clock.skip(31 * 24 * HOUR_MS);
    await harness.startController();
    await eventually(list, (it) => it.deliveries.length === 0);
  });

  it("are for admins to change", async () => {
    const { token } = await harness.tokens.createToken({ name: "op", role: Role.OPERATOR });
    const operator = harness.client(RepositoryService, token);
    await expect(operator.applyRepository({ repository: { name: "x", url: "/x" } })).rejects.toMatchObject({
      reason: "PERMISSION_DENIED",
    });
    expect((await operator.listRepositories({})).repositories).toEqual([]);
  });
});
