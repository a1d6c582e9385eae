import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CommitState,
  CommitStatusSchema,
  FailureClass,
  Forge,
  JobState,
  RepositorySchema,
  RunSchema,
  RunState,
  SourceEvent,
} from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attempted, isOwed, refused, revived, statusOfRun, told, wanted } from "./commit-status.ts";
import { apiUrl, statusRequest } from "./forge-status-request.ts";

const NOW = 1_700_000_000_000;
const COMMIT = "c".repeat(40);
const repository = create(RepositorySchema, {
  name: "shop",
  url: "https://github.com/team/shop.git",
  forge: Forge.GITHUB,
});

type RunInit = Exclude<MessageInitShape<typeof RunSchema>, { readonly $typeName: string }>;

function statusOf(fields: RunInit) {
  const source = { commit: COMMIT, event: SourceEvent.PULL_REQUEST, repositoryName: "shop" };
  return statusOfRun(repository, create(RunSchema, { id: "01a", pipeline: "ci", source, ...fields }));
}

describe("what a forge is told of a run", () => {
  it.each([
    [
      { state: RunState.BLOCKED, reason: "a person has to let it begin" },
      CommitState.PENDING,
      "a person has to let it begin",
    ],
    [{ state: RunState.QUEUED, reason: "waits for its turn" }, CommitState.PENDING, "waits for its turn"],
    [{ state: RunState.RUNNING }, CommitState.RUNNING, "is running"],
    [{ state: RunState.CANCELLED, reason: "cancelled by ann" }, CommitState.ERROR, "cancelled by ann"],
  ])("%j", (fields, state, description) => {
    expect(statusOf(fields)).toMatchObject({ context: "kedge/ci/pull-request", commit: COMMIT, state, description });
  });

  it("how many jobs succeeded and gates hold", () => {
    const jobs = [
      { spec: { name: "a" }, state: JobState.SUCCEEDED },
      { spec: { name: "b" }, state: JobState.SKIPPED },
      { spec: { name: "q" }, state: JobState.SUCCEEDED, gateResults: [{ passed: true }, { passed: true }] },
    ];
    expect(statusOf({ state: RunState.SUCCEEDED, jobs })?.description).toBe(
      "2 of 3 jobs succeeded, gates: 2 of 2 hold",
    );
  });

  it("which job failed and why, a gate by its rule", () => {
    const failure = { class: FailureClass.EXIT_CODE, message: "step test exited with 1" };
    const failed = { spec: { name: "test" }, state: JobState.FAILED, failure };
    const gate = {
      spec: { name: "q" },
      state: JobState.FAILED,
      gateResults: [{ passed: false, message: "accuracy 0.7 < 0.9" }],
    };
    expect(statusOf({ state: RunState.FAILED, jobs: [failed, gate] })?.description).toBe(
      "test (and 1 more): step test exited with 1",
    );
    expect(statusOf({ state: RunState.FAILED, jobs: [gate] })?.description).toBe("q: accuracy 0.7 < 0.9");
  });

  it("in as many characters as GitHub takes", () => {
    expect(statusOf({ state: RunState.CANCELLED, reason: "x".repeat(500) })?.description).toHaveLength(140);
  });

  it("nothing of a run that another run called, or without a commit", () => {
    expect(statusOf({ calledBy: "01b/call" })).toBeUndefined();
    expect(statusOf({ source: { repositoryName: "shop" } })).toBeUndefined();
  });
});

describe("what is owed", () => {
  const states = fc.constantFrom(CommitState.PENDING, CommitState.RUNNING, CommitState.SUCCESS, CommitState.FAILURE);
  const wish = fc.record({
    runId: fc.constantFrom("01a", "01b"),
    state: states,
    description: fc.constantFrom("x", "y"),
  });

  it("comes to rest on the newest run's last state, whatever came in between", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(wish, fc.constantFrom("told", "refused", "nothing")), { minLength: 1 }),
        (moves) => {
          let status = create(CommitStatusSchema);
          for (const [want, then] of moves) {
            status = wanted(status, { repository: "shop", commit: COMMIT, context: "k", ...want }, NOW);
            const tried = attempted(status, { nowMs: NOW, chance: 0.5, generation: 1n });
            const answer = { error: "HTTP 502", isFinal: false, notBeforeMs: 0, nowMs: NOW };
            if (then === "told" && isOwed(status)) status = told(tried, NOW);
            if (then === "refused" && isOwed(status)) status = refused(tried, answer);
          }
          const newest = moves
            .map(([want]) => want.runId)
            .toSorted()
            .at(-1);
          const last = moves.map(([want]) => want).findLast(({ runId }) => runId === newest);
          expect(status).toMatchObject({ ...last });
          const done = isOwed(status) ? told(status, NOW) : status;
          expect(isOwed(done)).toBe(false);
          expect(done).toMatchObject({ told: last?.state, toldDescription: last?.description, toldRunId: newest });
        },
      ),
    );
  });

  it("is given up after a day, or at once when it will never be taken, and taken up again", () => {
    const wish = {
      repository: "shop",
      commit: COMMIT,
      context: "k",
      runId: "01a",
      state: CommitState.SUCCESS,
      description: "",
    };
    const status = wanted(undefined, wish, NOW);
    const answer = { error: "HTTP 502", isFinal: false, notBeforeMs: NOW + 9_000, nowMs: NOW };
    const soon = refused(attempted(status, { nowMs: NOW, chance: 0, generation: 1n }), answer);
    expect([soon.givenUp, soon.attempts, soon.nextAttemptAt?.seconds]).toEqual([false, 1, BigInt(NOW / 1000 + 9)]);
    expect(refused(soon, { ...answer, nowMs: NOW + 24 * 3_600_000 }).givenUp).toBe(true);
    const final = refused(soon, { ...answer, isFinal: true });
    expect([isOwed(final), isOwed(revived(final, NOW))]).toEqual([false, true]);
    expect(isOwed(wanted(final, { ...wish, state: CommitState.FAILURE }, NOW))).toBe(true);
  });
});

describe("the request", () => {
  const status = create(CommitStatusSchema, {
    repository: "shop",
    commit: COMMIT,
    context: "kedge/ci/push",
    runId: "01a",
    state: CommitState.RUNNING,
    description: "is running",
  });
  it.each([
    ["https://github.com/team/shop.git", Forge.GITHUB, `https://api.github.com/repos/team/shop/statuses/${COMMIT}`],
    [
      "git@github.example:team/shop.git",
      Forge.GITHUB,
      `https://github.example/api/v3/repos/team/shop/statuses/${COMMIT}`,
    ],
    [
      "ssh://git@gitlab.com:22/a/b/shop",
      Forge.GITLAB,
      `https://gitlab.com/api/v4/projects/a%2Fb%2Fshop/statuses/${COMMIT}`,
    ],
    [
      "http://git.example:3000/team/shop",
      Forge.GITEA,
      `http://git.example:3000/api/v1/repos/team/shop/statuses/${COMMIT}`,
    ],
  ])("for %s goes to its API", (url, forge, expected) => {
    expect(statusRequest(create(RepositorySchema, { url, forge }), status, "t").url).toBe(expected);
  });

  it("is in the words of each forge", () => {
    const bodyFor = (forge: Forge): unknown =>
      JSON.parse(statusRequest(create(RepositorySchema, { url: "https://h/team/shop", forge }), status, "t").body);
    const words = { description: "is running" };
    expect(bodyFor(Forge.GITHUB)).toEqual({ state: "pending", context: "kedge/ci/push", ...words });
    expect(bodyFor(Forge.GITEA)).toEqual({ state: "pending", context: "kedge/ci/push", ...words });
    expect(bodyFor(Forge.GITLAB)).toEqual({ state: "running", name: "kedge/ci/push", ...words });
  });

  it("needs an address that says where the API is", () => {
    expect(() => apiUrl({ url: "/srv/team/shop", forge: Forge.GITHUB, apiUrl: "" })).toThrow(/url does not say/);
    expect(apiUrl({ url: "/srv/team/shop", forge: Forge.GITHUB, apiUrl: "https://h/api/" })).toBe("https://h/api");
  });
});
