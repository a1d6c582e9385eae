import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LaunchedServer, launchServer } from "./testing/launch-server.ts";

const FRAME = 512;
const SAMPLE_RATE_HZ = 16_000;
const TONE_HZ = 220;
const vadPackage = new URL("../../../node_modules/@ricky0123/vad-web/dist/", import.meta.url);
const example = new URL("../examples/silero-vad/", import.meta.url);

/** Frame `index` of a signal in which silence and a tone take turns. */
function frame(index: number): number[] {
  const angle = (i: number) => (2 * Math.PI * TONE_HZ * (index * FRAME + i)) / SAMPLE_RATE_HZ;
  return Array.from({ length: FRAME }, (_, i) => (index % 2 === 0 ? 0 : 0.5 * Math.sin(angle(i))));
}

async function launchSilero(version: "v5" | "v6"): Promise<LaunchedServer> {
  return launchServer({
    "model.onnx": await readFile(new URL(`silero_vad_${version}.onnx`, vadPackage)),
    "handler.mjs": await readFile(fileURLToPath(new URL("handler.mjs", example))),
    "model.json": await readFile(fileURLToPath(new URL("model.json", example))),
  });
}

async function judge(server: LaunchedServer, index: number, parameters: object = {}) {
  const response = await server.post("/models/demo/infer", {
    parameters,
    inputs: [{ name: "input", datatype: "FP32", shape: [1, FRAME], data: frame(index) }],
    outputs: [{ name: "output" }],
  });
  const body = (await response.json()) as { outputs: { data: number[] }[] };
  expect(response.status, JSON.stringify(body)).toBe(200);
  return { label: response.headers.get("kedge-prediction"), score: Number(body.outputs[0]?.data[0]) };
}

let v5: LaunchedServer;
let v6: LaunchedServer;

beforeAll(async () => {
  [v5, v6] = await Promise.all([launchSilero("v5"), launchSilero("v6")]);
});

afterAll(async () => {
  await v5?.[Symbol.asyncDispose]();
  await v6?.[Symbol.asyncDispose]();
});

describe("the Silero example", () => {
  it("answers differently in v5 and v6 for the same frames", async () => {
    const scores: Record<string, number[]> = { v5: [], v6: [] };
    const labels: Record<string, (string | null)[]> = { v5: [], v6: [] };
    for (const [name, server] of Object.entries({ v5, v6 })) {
      for (let i = 0; i < 4; i++) {
        const { label, score } = await judge(server, i, { sequence_id: 1, sequence_start: i === 0 });
        scores[name]?.push(Math.round(score * 1000) / 1000);
        labels[name]?.push(label);
      }
    }
    expect({ scores, labels }).toMatchInlineSnapshot(`
      {
        "labels": {
          "v5": [
            "silence",
            "speech",
            "silence",
            "speech",
          ],
          "v6": [
            "silence",
            "speech",
            "silence",
            "speech",
          ],
        },
        "scores": {
          "v5": [
            0.012,
            0.933,
            0.006,
            0.889,
          ],
          "v6": [
            0.002,
            0.763,
            0.106,
            0.707,
          ],
        },
      }
    `);
  });

  it("keeps the state of a sequence, and of no other", async () => {
    const alone = await judge(v5, 1);
    await judge(v5, 1, { sequence_id: "s", sequence_start: true });
    const second = await judge(v5, 1, { sequence_id: "s" });
    const other = await judge(v5, 1, { sequence_id: "t" });
    expect(second.score).not.toBe(alone.score);
    expect(other.score).toBe(alone.score);
  });

  it("forgets a sequence at its end", async () => {
    const first = await judge(v6, 1, { sequence_id: "u", sequence_end: true });
    expect((await judge(v6, 1, { sequence_id: "u" })).score).toBe(first.score);
  });

  it("refuses a frame of another size with status 400", async () => {
    const input = { name: "input", datatype: "FP32", shape: [1, 2], data: [0, 0] };
    const response = await v5.post("/models/demo/infer", { inputs: [input] });
    expect([response.status, await response.json()]).toEqual([
      400,
      { error: "input: expected one frame, FP32 [1,512]" },
    ]);
  });
});
