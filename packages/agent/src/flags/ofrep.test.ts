import type { Server } from "node:http";
import { create, fromJson, type JsonValue, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type FlagRuleSchema, FlagSchema, FlagsSchema, FlagType } from "@kedge/proto";
import { FlagSet } from "@kedge/rollout/flags";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createFlagServer } from "./flag-server.ts";

const flag = (name: string, type: FlagType, value: JsonValue, rules: MessageInitShape<typeof FlagRuleSchema>[] = []) =>
  create(FlagSchema, { name, type, rules, variants: { v: fromJson(ValueSchema, value) }, defaultVariant: "v" });

const BY_KEY: MessageInitShape<typeof FlagRuleSchema> = {
  name: "ramp",
  serve: {
    case: "split",
    value: { shares: [{ variant: "v", basisPoints: 10_000 }], ranges: [{ variant: "v", end: 10_000 }] },
  },
};
const ON_N1: MessageInitShape<typeof FlagRuleSchema> = {
  name: "n1",
  conditions: [{ attribute: "node", test: { case: "in", value: { values: [fromJson(ValueSchema, "n1")] } } }],
  serve: { case: "variant", value: "v" },
};
const FLAGS = [
  flag("json", FlagType.JSON, { a: [1] }),
  flag("number", FlagType.NUMBER, 0.5, [ON_N1]),
  flag("split", FlagType.BOOLEAN, true, [BY_KEY]),
  create(FlagSchema, { ...flag("off", FlagType.STRING, "x"), disabled: true }),
];

describe("the protocol of OpenFeature", () => {
  let set: FlagSet | undefined;
  let server: Server;
  let base: string;
  beforeAll(async () => {
    server = createFlagServer({ flags: () => set, attributes: { node: "n1" } });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    base = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/ofrep/v1/evaluate/flags`;
  });
  afterAll(() => server.close());

  async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const response = await fetch(`${base}${path}`, { method: "POST", body: text, headers });
    const answer = await response.text();
    return {
      status: response.status,
      etag: response.headers.get("etag"),
      body: answer === "" ? undefined : JSON.parse(answer),
    };
  }

  it("is not ready before there are flags", async () => {
    expect(await post("/json", {})).toMatchObject({ status: 503, body: { errorCode: "PROVIDER_NOT_READY" } });
    expect(await post("", {})).toMatchObject({ status: 503, etag: null });
    set = new FlagSet(create(FlagsSchema, { flags: FLAGS, generation: 1n }));
  });

  it("answers for one flag", async () => {
    expect(await post("/json", { context: { targetingKey: "ann" } })).toMatchObject({
      status: 200,
      body: { key: "json", value: { a: [1] }, variant: "v", reason: "STATIC" },
    });
    expect((await post("/split", { context: { targetingKey: "ann" } })).body).toEqual({
      ...{ key: "split", value: true, variant: "v", reason: "SPLIT", metadata: { rule: "ramp" } },
    });
    // The node's own attributes count, the caller's count more.
    expect((await post("/number", "")).body).toMatchObject({ reason: "TARGETING_MATCH" });
    expect((await post("/number", { context: { node: "n2" } })).body).toMatchObject({ reason: "DEFAULT" });
    // No value: the caller's own default.
    expect((await post("/off", {})).body).toEqual({ key: "off", reason: "DISABLED" });
  });

  it.each([
    ["/none", {}, 404, "FLAG_NOT_FOUND"],
    ["/__proto__", {}, 404, "FLAG_NOT_FOUND"],
    ["/split", {}, 400, "TARGETING_KEY_MISSING"],
    ["/split", { context: { targetingKey: "" } }, 400, "TARGETING_KEY_MISSING"],
    ["/split", { context: [] }, 400, "INVALID_CONTEXT"],
    ["/split", "{", 400, "PARSE_ERROR"],
    ["/split", "[]", 400, "PARSE_ERROR"],
  ])("says what is wrong with %s %j", async (path, body, status, errorCode) => {
    expect(await post(path, body)).toMatchObject({ status, body: { key: path.slice(1), errorCode } });
  });

  it("answers for all flags, and only when something changed for who asks", async () => {
    const ann = { context: { targetingKey: "ann" } };
    const first = await post("", ann);
    expect(first.status).toBe(200);
    expect(first.body.flags.map((each: { key: string }) => each.key)).toEqual(["json", "number", "split", "off"]);
    const etag = first.etag ?? "";
    expect(await post("", ann, { "if-none-match": etag })).toEqual({ status: 304, etag, body: undefined });
    expect((await post("", ann, { "if-none-match": `"x", W/${etag}` })).status).toBe(304);
    const nobody = await post("", {}, { "if-none-match": etag });
    expect(nobody.body.flags).toContainEqual(
      expect.objectContaining({ key: "split", errorCode: "TARGETING_KEY_MISSING" }),
    );
    set = new FlagSet(create(FlagsSchema, { flags: FLAGS, generation: 2n }));
    expect((await post("", ann, { "if-none-match": etag })).status).toBe(304);
    set = new FlagSet(create(FlagsSchema, { flags: FLAGS.slice(1), generation: 3n }));
    expect((await post("", ann, { "if-none-match": etag })).body.flags).toHaveLength(3);
  });

  it("refuses what is no question", async () => {
    expect((await fetch(`${base}/json`)).status).toBe(405);
    expect((await fetch(base.replace("/flags", "/"), { method: "POST" })).status).toBe(404);
    expect((await post("/%zz", {})).status).toBe(404);
    expect((await post("", { context: { text: "x".repeat(70_000) } })).status).toBe(413);
    expect((await post("/json", {})).status).toBe(404);
  });
});
