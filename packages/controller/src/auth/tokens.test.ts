import { toBinary } from "@bufbuild/protobuf";
import { systemClock } from "@kedge/kernel";
import { Role, TokenSchema } from "@kedge/proto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { bearerText, joinText, TokenRegistry } from "./tokens.ts";

let world: TestStores;
let tokens: TokenRegistry;
let skewMs: number;

beforeAll(async () => {
  world = await startTestStores();
});
afterAll(() => world.stop());
beforeEach(() => {
  skewMs = 0;
  tokens = new TokenRegistry(world.stores, { ...systemClock, now: () => systemClock.now() + skewMs });
});

const bearer = { name: "ci", role: Role.OPERATOR, createdBy: "admin" };

test("a bearer token is its owner until it is revoked; its secret is not stored", async () => {
  const made = await tokens.create(bearer);
  expect(tokens.authenticate(bearerText(made))).toEqual({ name: "ci", role: Role.OPERATOR });
  const stored = world.stores.tokens.get(made.info.id)?.value;
  expect(stored && Buffer.from(toBinary(TokenSchema, stored)).includes(made.secret)).toBe(false);
  await tokens.revoke(made.info.id);
  expect(tokens.authenticate(bearerText(made))).toBeUndefined();
  await expect(tokens.revoke(made.info.id)).rejects.toMatchObject({ reason: "TOKEN_NOT_FOUND" });
});

test("a token ends with its time", async () => {
  const made = await tokens.create({ ...bearer, ttlMs: 60_000 });
  skewMs = 59_000;
  expect(tokens.authenticate(bearerText(made))).toBeDefined();
  skewMs = 60_001;
  expect(tokens.authenticate(bearerText(made))).toBeUndefined();
});

test("what is not exactly a token's text is nobody", async () => {
  const made = await tokens.create(bearer);
  const { id } = made.info;
  const other = await tokens.create(bearer);
  const texts = [
    "",
    "kedge_",
    `kedge_${id}`,
    `kedge_${id}_`,
    `kedge_${id}_${other.secret}`,
    `bearer_${id}_${made.secret}`,
  ];
  for (const text of [...texts, `kedge_../${id}_x`, "kedge___proto___x", `${bearerText(made)}_`]) {
    expect({ text, principal: tokens.authenticate(text) }).toEqual({ text, principal: undefined });
  }
});

test("a join token admits as many nodes as it says, also when they come at once, and is no bearer", async () => {
  const made = await tokens.create({ ...bearer, role: Role.UNSPECIFIED, join: { uses: 3, labels: { zone: "a" } } });
  expect(tokens.authenticate(bearerText(made))).toBeUndefined();
  const spend = () => tokens.spendJoinToken(made.info.id, made.secret, { again: false });
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, spend));
  expect(outcomes.map(({ status }) => status).sort()).toEqual([
    ...["fulfilled", "fulfilled", "fulfilled"],
    ...["rejected", "rejected"],
  ]);
  await expect(spend()).rejects.toMatchObject({ reason: "JOIN_TOKEN_INVALID", field: "token" });
  // A node whose answer was lost comes again with the same token.
  const { nodeLabels } = await tokens.spendJoinToken(made.info.id, made.secret, { again: true });
  expect(nodeLabels).toEqual({ zone: "a" });
  await expect(tokens.spendJoinToken(made.info.id, "guess", { again: true })).rejects.toMatchObject({
    reason: "JOIN_TOKEN_INVALID",
  });
});

test("a bearer token admits no node", async () => {
  const made = await tokens.create(bearer);
  await expect(tokens.spendJoinToken(made.info.id, made.secret, { again: false })).rejects.toMatchObject({
    reason: "JOIN_TOKEN_INVALID",
  });
});

test("the text for joining says where and whom to trust", async () => {
  const made = await tokens.create({ ...bearer, join: { uses: 1, labels: {} } });
  const [kind, payload = ""] = joinText(made, "host:7443", "ab:cd").split(".");
  expect(kind).toBe("kedge-join");
  expect(JSON.parse(Buffer.from(payload, "base64url").toString())).toEqual({
    ...{ id: made.info.id, secret: made.secret, address: "host:7443", caFingerprint: "ab:cd" },
  });
});
