import { create } from "@bufbuild/protobuf";
import {
  type Deployment,
  DeploymentSchema,
  type ReplicaTemplate,
  ReplicaTemplateSchema,
  RevisionSchema,
  RevisionState,
  RolloutState,
  StrategySchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { retryRevision, rollbackDeployment } from "./deployment-requests.ts";
import { desiredRoute } from "./desired-route.ts";
import { heldBackVersion } from "./held-back.ts";
import { abortRollout } from "./requests.ts";
import { addRevision } from "./revisions.ts";
import { stepDeployment } from "./step-deployment.ts";

const template = (version: string): ReplicaTemplate => create(ReplicaTemplateSchema, { env: { V: version } });
const full = { desired: 1, ready: 1, failed: 0 };

/** A deployment of which each version is ready at once and each route in force at once. */
class World {
  now = 1_700_000_000_000;
  deployment: Deployment = create(DeploymentSchema, {
    name: "d",
    spec: {
      name: "d",
      strategy: create(StrategySchema, {
        kind: { case: "canary", value: { steps: [{ weightPercent: 10, holdSeconds: 30 }] } },
      }),
    },
  });

  get asked() {
    return { who: "eva", nowMs: this.now };
  }

  apply(version: string): this {
    const number = this.deployment.revisions.length + 1;
    const { CANDIDATE } = RevisionState;
    addRevision(this.deployment, create(RevisionSchema, { number, template: template(version), state: CANDIDATE }));
    return this;
  }

  step(times = 1): this {
    for (let i = 0; i < times; i++) {
      this.now += 31_000;
      const replicas = new Map(this.deployment.revisions.map(({ number }) => [number, full]));
      const { rollout } = this.deployment;
      const route = rollout === undefined ? {} : { routeInForce: desiredRoute(rollout, replicas) };
      const step = stepDeployment({ deployment: this.deployment, now: this.now, observation: { replicas, ...route } });
      this.deployment = step.deployment;
    }
    return this;
  }

  abort(): this {
    const { rollout } = this.deployment;
    if (rollout !== undefined) this.deployment.rollout = abortRollout(rollout, this.now, "aborted by eva: too slow");
    return this;
  }

  held(version: string) {
    return heldBackVersion(this.deployment, template(version));
  }
}

test("a version that is aborted is held back from then on, until somebody asks for it", () => {
  const world = new World().apply("1").step(5).apply("2").step();
  expect(world.held("2")).toBeUndefined();
  const why = { revision: 2, reason: "aborted by eva: too slow" };
  expect(world.abort().held("2")).toEqual(why);
  expect(world.step(4).held("2")).toEqual(why);
  expect(world.held("1")).toBeUndefined();
  expect(world.held("never seen")).toBeUndefined();
  world.apply("3").step(6);
  expect(world.deployment.stableRevision).toBe(3);
  expect(world.held("2")).toEqual(why);
  retryRevision(world.deployment, 2, world.asked);
  expect(world.held("2")).toBeUndefined();
  world.step(6);
  expect(world.deployment.stableRevision).toBe(2);
  expect(world.held("2")).toBeUndefined();
});

test("what a return left is held back while it goes and afterwards", () => {
  const world = new World().apply("1").step(5).apply("2").step(6);
  rollbackDeployment(world.deployment, 0, world.asked);
  world.step();
  expect(world.held("2")?.reason).toContain("rolled back by eva");
  world.step(4);
  expect(world.deployment).toMatchObject({ stableRevision: 1, rollout: { state: RolloutState.SUCCEEDED } });
  expect(world.held("2")).toMatchObject({ revision: 2, reason: expect.stringContaining("rolled back by eva") });
  expect(world.held("1")).toBeUndefined();
});

test("what only gave way to a newer version was never found wanting", () => {
  const world = new World().apply("1").step(5).apply("2").step().apply("3").apply("4").step(8);
  expect(world.deployment.stableRevision).toBe(4);
  expect(world.held("2")).toBeUndefined();
  expect(world.held("3")).toBeUndefined();
});
