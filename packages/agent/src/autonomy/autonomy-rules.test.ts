import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { type Clock, silentLogger, systemClock } from "@kedge/kernel";
import {
  AnalysisAction,
  AssignmentSchema,
  type LocalDecision,
  LocalDecisionKind,
  type Route,
  RouteSchema,
  type Window,
  WindowSchema,
} from "@kedge/proto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { waitFor } from "../testing/agent-fixture.ts";
import { Autonomy } from "./autonomy.ts";

const CUT_OFF_MS = 5_000;
const SCALE = { assigned: () => 1, ready: () => 1 };

let dir: string;
let skippedMs = 0;
let refusals = 0;
const published: LocalDecision[] = [];
const autonomies: Autonomy[] = [];
const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skippedMs };

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kedge-autonomy-"));
  published.length = 0;
  refusals = 0;
});
afterEach(async () => {
  for (const autonomy of autonomies.splice(0)) await autonomy.stop();
  await rm(dir, { recursive: true });
});

/** The agent's, as each process of it has one. */
function begun(): Autonomy {
  const publish = (decision: LocalDecision): Promise<void> => {
    refusals -= 1;
    if (refusals >= 0) return Promise.reject(new KedgeError("BUS_UNAVAILABLE", "not now"));
    published.push(decision);
    return Promise.resolve();
  };
  const onChange = (): void => {};
  const options = { nodeId: "n1", dir, cutOffMs: CUT_OFF_MS, clock, logger: silentLogger, publish, onChange };
  const autonomy = new Autonomy(options);
  autonomies.push(autonomy);
  autonomy.load();
  return autonomy;
}

function routeOf(share: number, more: MessageInitShape<typeof RouteSchema> = {}): Route {
  const splits = [
    { revision: 1, basisPoints: 10_000 - share },
    { revision: 2, basisPoints: share },
  ];
  return create(RouteSchema, { deployment: "vad", generation: 7n, splits, stableRevision: 1, ...more });
}

const judgement = (action = AnalysisAction.UNSPECIFIED) => {
  return { rolloutId: "vad-2-1", fromRevision: 1, toRevision: 2, alpha: 0.001, analysis: { action } };
};

/** Half of a hundred requests to each revision; so many to the new one failed. */
function windowOf(errors: number): Window {
  const revisions = [
    { revision: 1, requests: 50, basisPoints: 5000 },
    { revision: 2, requests: 50, errors, basisPoints: 5000 },
  ];
  return create(WindowSchema, { nodeId: "n1", deployment: "vad", revisions });
}

const shareOf = (autonomy: Autonomy, route: Route): number =>
  autonomy.held(route, SCALE).splits.find(({ revision }) => revision === 2)?.basisPoints ?? 0;

/** Shows it bad windows, as the analysis is loaded with the first, until it has decided. */
async function decided(autonomy: Autonomy): Promise<void> {
  const files = async (): Promise<string[]> => {
    autonomy.observe(windowOf(25));
    return await readdir(dir);
  };
  await waitFor(
    async () => (await files()).length > 0,
    () => "nothing decided",
  );
}

it("holds the share where the analysis says pause, and follows less", async () => {
  const autonomy = begun();
  autonomy.follow("vad", routeOf(3000, { judgement: judgement(AnalysisAction.PAUSE) }));
  skippedMs += CUT_OFF_MS;
  await decided(autonomy);
  expect(shareOf(autonomy, routeOf(10_000))).toBe(3000);
  expect(shareOf(autonomy, routeOf(1000))).toBe(1000);
  expect(shareOf(begun(), routeOf(10_000))).toBe(3000);
});

it("tells again what was not stored, also what an earlier process decided, and lets go when it was merged", async () => {
  const first = begun();
  const judged = routeOf(3000, { judgement: judgement() });
  first.follow("vad", judged);
  skippedMs += CUT_OFF_MS;
  await decided(first);
  await first.stop();
  const next = begun();
  refusals = 2;
  next.heard();
  await waitFor(
    () => published[0],
    () => "nothing told",
  );
  expect(published).toMatchObject([{ kind: LocalDecisionKind.ROLLBACK, rolloutId: "vad-2-1", routeGeneration: 7n }]);
  expect(shareOf(next, judged)).toBe(0);
  next.follow("vad", routeOf(3000, { merged: [{ rolloutId: "vad-2-1", nodeId: "n2" }] }));
  expect(shareOf(next, judged)).toBe(0);
  next.follow("vad", routeOf(3000, { merged: [{ rolloutId: "vad-2-1", nodeId: "n1" }] }));
  expect(shareOf(next, judged)).toBe(3000);
  expect(await readdir(dir)).toEqual([]);
});

it("lets go of what nobody can merge once the revision is gone from the node", async () => {
  const autonomy = begun();
  autonomy.follow("vad", routeOf(3000, { judgement: judgement() }));
  skippedMs += CUT_OFF_MS;
  await decided(autonomy);
  autonomy.assigned(create(AssignmentSchema, { nodeId: "n1" }));
  expect(await readdir(dir)).toHaveLength(1);
  autonomy.heard();
  await waitFor(
    async () => (await readdir(dir)).length === 0,
    () => "still held",
  );
});

it("says that it went on when its own windows spoke against nothing, and keeps nothing of it", async () => {
  const autonomy = begun();
  autonomy.follow("vad", routeOf(3000, { judgement: judgement() }));
  autonomy.heard();
  const told = async (): Promise<boolean> => {
    skippedMs += CUT_OFF_MS;
    autonomy.observe(windowOf(0));
    autonomy.heard();
    return published.length > 0;
  };
  await waitFor(told, () => "nothing told");
  expect(published[0]).toMatchObject({ kind: LocalDecisionKind.CONTINUE, revision: 2, nodeId: "n1" });
  expect(await readdir(dir)).toEqual([]);
  expect(shareOf(autonomy, routeOf(3000))).toBe(3000);
});

it("judges nothing while it hears the controller, and counts what it saw then once it does not", async () => {
  const autonomy = begun();
  autonomy.follow("vad", routeOf(3000, { judgement: judgement() }));
  autonomy.heard();
  await waitFor(
    () => {
      autonomy.observe(windowOf(50));
      return import("@kedge/analysis").then(() => true);
    },
    () => "no analysis",
  );
  autonomy.observe(windowOf(50));
  expect(await readdir(dir)).toEqual([]);
  skippedMs += CUT_OFF_MS;
  autonomy.observe(windowOf(0));
  expect(await readdir(dir)).toEqual(["vad-2-1"]);
});

it("starts although a file of its folder is none of its own", async () => {
  await writeFile(join(dir, "vad-2-1"), "garbage");
  await writeFile(join(dir, "vad-3-1.7.1.tmp"), "cut short");
  expect(shareOf(begun(), routeOf(3000))).toBe(3000);
});
