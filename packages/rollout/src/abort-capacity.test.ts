import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { isRolloutEnded } from "@kedge/domain";
import { MatchKind, RequestSource, type Rollout, RolloutState, StrategySchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { desiredRoute } from "./desired-route.ts";
import { desiredScales } from "./desired-scales.ts";
import { abortRollout, pauseRollout, promoteRollout } from "./requests.ts";
import { startRollout } from "./start.ts";
import { stepRollout } from "./step-rollout.ts";

const START = 1_700_000_000_000;
const REPLICAS = 4;
const OLD = 1;
const NEW = 2;
const KEY = { source: RequestSource.HEADER, name: "x-group" };

type StrategyInit = MessageInitShape<typeof StrategySchema>;

const STRATEGIES: Record<string, StrategyInit["kind"]> = {
  canary: {
    case: "canary",
    value: { steps: [25, 50, 75].map((weightPercent) => ({ weightPercent, holdSeconds: 9 })) },
  },
  "blue-green": { case: "blueGreen", value: { previewSeconds: 9 } },
  rolling: { case: "rolling", value: {} },
  "rolling without room for more": {
    case: "rolling",
    value: { maxSurge: { value: { case: "count", value: 0 } }, maxUnavailable: { value: { case: "count", value: 1 } } },
  },
  "all at once": { case: "allAtOnce", value: {} },
  "A/B by hash": { case: "abTest", value: { by: { case: "hash", value: KEY }, runSeconds: 9 } },
  "A/B by match": {
    case: "abTest",
    value: { by: { case: "match", value: { key: KEY, kind: MatchKind.EXACT, values: ["b"] } }, runSeconds: 9 },
  },
  shadow: { case: "shadow", value: { runSeconds: 9, minCompared: 1, promote: true } },
};

/** A fleet of which one replica a tick starts, and those that are too many go at once. */
class World {
  now = START;
  readonly ready = new Map([
    [OLD, REPLICAS],
    [NEW, 0],
  ]);
  rollout: Rollout;
  /** Fewest ready replicas of revisions with traffic. */
  leastServing = REPLICAS;

  constructor(kind: StrategyInit["kind"]) {
    const strategy = create(StrategySchema, kind === undefined ? {} : { kind });
    this.rollout = startRollout({ deployment: "d", fromRevision: OLD, toRevision: NEW, attempt: 1, strategy }, START);
  }

  get replicas() {
    return new Map([...this.ready].map(([revision, ready]) => [revision, { desired: REPLICAS, ready, failed: 0 }]));
  }

  get route() {
    return desiredRoute(this.rollout, this.replicas);
  }

  /** What sets one place of a rollout apart from another. */
  get place(): string {
    const { state, step, stepStartedAt } = this.rollout;
    return [RolloutState[state], step, stepStartedAt === undefined, ...this.ready.values()].join(" ");
  }

  tick(): void {
    this.now += 3_000;
    const totals = { canary: { requests: 1_000n, errors: 0n }, baseline: { requests: 1_000n, errors: 0n } };
    const comparisons = { compared: 100n, differing: 0n };
    const observation = { replicas: this.replicas, routeInForce: this.route, totals, comparisons };
    const before = this.rollout.waitsForPerson ? promoteRollout(this.rollout) : this.rollout;
    this.rollout = stepRollout({ rollout: before, now: this.now, observation }).rollout;
    this.#assertCarried();
    this.#scale();
  }

  /**
   * The route is in force before the replicas follow. No revision has more than its ready replicas carry; of a rolling
   * rollout, which may do with fewer, those that have traffic are counted.
   */
  #assertCarried(): void {
    const { splits } = this.route;
    const readyOf = (revision: number) => this.ready.get(revision) ?? 0;
    expect(splits.reduce((sum, { basisPoints }) => sum + basisPoints, 0)).toBe(10_000);
    const serving = splits.reduce((sum, { revision }) => sum + readyOf(revision), 0);
    this.leastServing = Math.min(this.leastServing, serving);
    if (this.rollout.rolling !== undefined) return;
    for (const { revision, basisPoints } of splits) {
      expect(basisPoints * REPLICAS, this.place).toBeLessThanOrEqual(readyOf(revision) * 10_000);
    }
  }

  #scale(): void {
    const wanted = new Map(desiredScales(this.rollout, this.now).map(({ revision, replicas }) => [revision, replicas]));
    for (const [revision, ready] of this.ready) {
      const target = wanted.has(revision) ? Math.min(REPLICAS, wanted.get(revision) ?? REPLICAS) : 0;
      this.ready.set(revision, ready < target ? ready + 1 : target);
    }
  }
}

/** The world as it is after so many ticks. */
function worldAt(kind: StrategyInit["kind"], ticks: number): World {
  const world = new World(kind);
  for (let i = 0; i < ticks; i++) world.tick();
  return world;
}

test.each(Object.entries(STRATEGIES))(
  "%s: aborted at any of its places, all traffic goes back and is carried",
  (name, kind) => {
    const places = new Set<string>();
    const least = name === "rolling without room for more" ? REPLICAS - 1 : REPLICAS;
    for (let ticks = 0; ; ticks++) {
      const isOver = isRolloutEnded(worldAt(kind, ticks).rollout.state);
      if (isOver) break;
      for (const isPaused of [false, true]) {
        const world = worldAt(kind, ticks);
        if (isPaused) world.rollout = pauseRollout(world.rollout, world.now);
        places.add(world.place);
        world.rollout = abortRollout(world.rollout, world.now);
        for (let i = 0; i < 30 && !isRolloutEnded(world.rollout.state); i++) world.tick();
        expect(RolloutState[world.rollout.state]).toBe("ROLLED_BACK");
        expect(world.route.splits).toMatchObject([{ revision: OLD, basisPoints: 10_000 }]);
        expect(world.ready.get(OLD), world.place).toBe(REPLICAS);
        expect(world.leastServing, world.place).toBeGreaterThanOrEqual(least);
        for (let i = 0; i < 3; i++) world.tick();
        expect([...world.ready.values()]).toEqual([REPLICAS, 0]);
      }
    }
    const states = new Set([...places].map((place) => place.split(" ")[0]));
    expect([...states]).toEqual(expect.arrayContaining(["PREPARING", "PROMOTING", "PAUSED"]));
    expect(states.has("PROGRESSING")).toBe(name !== "all at once");
  },
);
