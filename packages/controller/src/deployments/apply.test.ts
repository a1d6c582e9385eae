import { create } from "@bufbuild/protobuf";
import { systemClock } from "@kedge/kernel";
import { type DeploymentSpec, DeploymentSpecSchema } from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ModelRegistry } from "../models/registry.ts";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { DeploymentWriter } from "./apply.ts";

let world: TestStores;
let writer: DeploymentWriter;

beforeAll(async () => {
  world = await startTestStores();
  const { stores, events } = world;
  const models = new ModelRegistry(stores, systemClock, events);
  writer = new DeploymentWriter({ stores, models, clock: systemClock, events });
});
afterAll(() => world.stop());

const origin = { createdBy: "eva" };
const specOf = (name: string, image: string, port = 80): DeploymentSpec =>
  create(DeploymentSpecSchema, {
    name,
    scale: { case: "replicas", value: 1 },
    template: { source: { case: "image", value: image }, port },
  });

test("a changed template makes a revision; the same again, and another scale, make none", async () => {
  expect(await writer.apply(specOf("voice", "img:1"), origin)).toMatchObject({ revision: 1, changed: true });
  expect(await writer.apply(specOf("voice", "img:1"), origin)).toMatchObject({ revision: 1, changed: false });
  const scaled = specOf("voice", "img:1");
  scaled.scale = { case: "replicas", value: 3 };
  expect(await writer.apply(scaled, origin)).toMatchObject({ revision: 1, changed: true });
  expect(await writer.apply(specOf("voice", "img:2"), origin)).toMatchObject({ revision: 2, changed: true });
  expect(await writer.apply(specOf("voice", "img:2"), { ...origin, force: true })).toMatchObject({ revision: 3 });
});

test("an attempt that asks again gets its first answer, whatever was applied since", async () => {
  const attempt = { ...origin, attempt: "run/ship/1" };
  const first = await writer.apply(specOf("again", "img:1"), attempt);
  await writer.apply(specOf("again", "img:2"), origin);
  expect(await writer.apply(specOf("again", "img:1"), attempt)).toMatchObject({
    ...{ revision: first.revision, changed: false },
  });
  const stored = world.stores.deployments.get("again")?.value;
  expect(stored?.revisions.at(-1)?.template?.source.value).toBe("img:2");
});

test("edits at the same time all count", async () => {
  const images = Array.from({ length: 8 }, (_, i) => `img:${i}`);
  const applied = await Promise.all(images.map((image) => writer.apply(specOf("race", image), origin)));
  expect(applied.map(({ revision }) => revision).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test.each([
  ["a name that is none", specOf("No Name", "img"), "name"],
  ["no template", create(DeploymentSpecSchema, { name: "bad" }), "template"],
  ["an image without a port", specOf("bad", "img", 0), "template.port"],
  ["a port beyond the last", specOf("bad", "img", 65_536), "template.port"],
])("%s is refused, and nothing is stored", async (_what, spec, field) => {
  await expect(writer.apply(spec, origin)).rejects.toMatchObject({ reason: "INVALID_FIELD", field });
  expect(world.stores.deployments.get(spec.name)).toBeUndefined();
});

test("a deployment that is being deleted takes no new spec", async () => {
  await writer.apply(specOf("gone", "img"), origin);
  await writer.edit("gone", (draft) => {
    draft.deleting = true;
    return 0;
  });
  await expect(writer.apply(specOf("gone", "img:2"), origin)).rejects.toMatchObject({ reason: "CONFLICT" });
});
