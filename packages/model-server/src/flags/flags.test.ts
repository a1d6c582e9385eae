import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJson, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { FlagSchema, FlagsSchema, FlagType } from "@kedge/proto";
import { FlagSet } from "@kedge/rollout/flags";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchServer } from "../testing/launch-server.ts";
import { ELEMENT, identityModel } from "../testing/onnx-models.ts";
import { handlerFlags } from "./handler-flags.ts";

const MODEL = identityModel([{ name: "x", element: ELEMENT.FP32, shape: [1] }]);
const REQUEST = { inputs: [{ name: "x", datatype: "FP32", shape: [1], data: [1] }] };

/** Says which ranker it would take, and what it is told of itself. */
const HANDLER = `
export function postprocess(response, context) {
  const { value, reason, errorCode } = context.flags.details("ranker", "builtin", { targetingKey: "ann" });
  const here = context.flags.boolean("here", false);
  return { ...response, parameters: { value, reason, errorCode: errorCode ?? "none", here } };
}`;

function ranker(text: string) {
  const variants = { a: fromJson(ValueSchema, text) };
  return create(FlagSchema, { name: "ranker", type: FlagType.STRING, variants, defaultVariant: "a" });
}

/** On for version 3 of the deployment demo alone. */
const HERE = create(FlagSchema, {
  ...{ name: "here", type: FlagType.BOOLEAN, defaultVariant: "off" },
  variants: { on: fromJson(ValueSchema, true), off: fromJson(ValueSchema, false) },
  rules: [
    {
      name: "demo-3",
      conditions: Object.entries({ deployment: "demo", version: "3" }).map(([attribute, value]) => ({
        attribute,
        test: { case: "in" as const, value: { values: [fromJson(ValueSchema, value)] } },
      })),
      serve: { case: "variant", value: "on" },
    },
  ],
});

describe("a handler's flags", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "kedge-flags-"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  /** As the agent does it. */
  async function put(bytes: Uint8Array): Promise<void> {
    await writeFile(join(dir, "new"), bytes);
    await rename(join(dir, "new"), join(dir, "flags"));
  }
  const flags = (text: string) => toBinary(FlagsSchema, create(FlagsSchema, { flags: [HERE, ranker(text)] }));

  it("follow the node's file from its appearance, and stay when it is unreadable or gone", async () => {
    await using server = await launchServer({ "model.onnx": MODEL, "handler.mjs": HANDLER }, [
      ...["--flags-file", join(dir, "flags")],
    ]);
    const answer = async (): Promise<unknown> => {
      const response = await server.post("/models/demo/infer", REQUEST);
      return Reflect.get(Object(await response.json()), "parameters");
    };
    expect(await answer()).toEqual({ value: "builtin", reason: "ERROR", errorCode: "PROVIDER_NOT_READY", here: false });
    await put(flags("bm25"));
    const first = { value: "bm25", reason: "STATIC", errorCode: "none", here: true };
    await expect.poll(answer, { timeout: 5_000 }).toEqual(first);
    await put(flags("cross-encoder"));
    await expect.poll(answer, { timeout: 5_000 }).toEqual({ ...first, value: "cross-encoder" });
    await put(Buffer.from("no protobuf"));
    await expect.poll(() => server.stderr.some((line) => line.includes("feature flags not read"))).toBe(true);
    await rm(join(dir, "flags"));
    expect(await answer()).toEqual({ ...first, value: "cross-encoder" });
    await put(flags("again"));
    await expect.poll(answer, { timeout: 5_000 }).toEqual({ ...first, value: "again" });
  });

  it("answer by type, each with the fallback when the flag is of another one", () => {
    const value = (json: Parameters<typeof fromJson>[1]) => ({ v: fromJson(ValueSchema, json) });
    const flag = (name: string, type: FlagType, json: Parameters<typeof fromJson>[1]) =>
      create(FlagSchema, { name, type, variants: value(json), defaultVariant: "v" });
    const set = new FlagSet(
      create(FlagsSchema, {
        flags: [
          flag("b", FlagType.BOOLEAN, true),
          flag("s", FlagType.STRING, "text"),
          flag("n", FlagType.NUMBER, 0.5),
          flag("j", FlagType.JSON, { k: [1] }),
        ],
      }),
    );
    const asked = handlerFlags(set, {});
    expect([asked.boolean("b", false), asked.string("s", ""), asked.number("n", 0)]).toEqual([true, "text", 0.5]);
    expect(asked.json("j", [])).toEqual({ k: [1] });
    expect([asked.boolean("s", false), asked.string("n", "-"), asked.number("b", 7)]).toEqual([false, "-", 7]);
    expect(asked.json("s", { none: true })).toEqual({ none: true });
    expect(asked.details("b", 3)).toMatchObject({ value: 3, reason: "ERROR", errorCode: "TYPE_MISMATCH" });
    expect(asked.details("none", [])).toMatchObject({ value: [], errorCode: "FLAG_NOT_FOUND" });
  });
});
