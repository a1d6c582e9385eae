import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pushModelFolder } from "@kedge/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { kedge } from "../../setup/kedge.ts";
import { VOICE_MODEL, writeVoiceModel } from "../../setup/voice-model.ts";
import { waitUntil } from "../../setup/wait-for.ts";

/** Labels every answer with what the flag gives to who asks. */
const HANDLER = `
export function postprocess(response, context) {
  context.label(context.flags.string("ranker", "builtin", { targetingKey: "ann" }));
  return response;
}
`;
const FRAME = JSON.stringify({
  inputs: [{ name: "input", datatype: "FP32", shape: [1, 512], data: new Array(512).fill(0) }],
});

describe("a feature flag in the life of a model", () => {
  let cluster: Cluster;
  let gateway: string;
  const file = (name: string): string => join(import.meta.dirname, name);

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "edge" }]);
    const folder = join(cluster.folder, "model");
    await writeVoiceModel(folder, { silero: "v5" });
    await appendFile(join(folder, "handler.mjs"), HANDLER);
    await pushModelFolder(cluster.client, folder, { model: VOICE_MODEL });
    expect(await kedge(cluster.env, "apply", "-f", file("deployment.yaml"), "--wait")).toMatchObject({ code: 0 });
    gateway = (await cluster.readyNode("edge")).gatewayAddress;
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  const flag = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await kedge(cluster.env, "flag", ...args);
    expect([code, stderr]).toEqual([0, ""]);
    return stdout;
  };

  async function answer(): Promise<string | null> {
    const url = `http://${gateway}/v2/models/voice/infer`;
    const response = await fetch(url, { method: "POST", body: FRAME });
    await response.arrayBuffer();
    return response.headers.get("kedge-prediction");
  }
  const answers = (value: string): Promise<void> =>
    waitUntil(`the handler goes by ${value}`, async () => {
      const seen = await answer();
      return { ok: seen === value, seen };
    });

  async function apply(percent: number): Promise<void> {
    const text = await readFile(file("flag.yaml"), "utf8");
    const ramped = join(cluster.folder, "flag.yaml");
    await writeFile(ramped, text.replace("new: 0, old: 100", `new: ${percent}, old: ${100 - percent}`));
    await flag("apply", "-f", ramped, "-m", `ramp to ${percent} %`);
  }

  it("has none, then takes each change without a restart", async () => {
    await answers("builtin");
    await apply(0);
    await answers("bm25");
    await apply(100);
    await answers("cross-encoder");
    const why = await flag("eval", "ranker", "--key", "ann", "-a", "deployment=voice", "-a", "revision=1");
    expect(why).toContain("SPLIT");
    const { node } = await cluster.client.nodes.getNode({ nodeId: cluster.node("edge").id });
    expect(node?.replicas.map(({ restarts }) => restarts)).toEqual([0]);
  });

  it("goes by what was last known while controller and agent are dead, and by the next change after that", async () => {
    const { agent } = cluster.node("edge");
    await Promise.all([cluster.controller.kill("SIGKILL"), agent.kill("SIGKILL")]);
    expect(await answer()).toBe("cross-encoder");
    agent.restart();
    cluster.controller.restart();
    await cluster.readyNode("edge");
    expect(await answer()).toBe("cross-encoder");
    await flag("off", "ranker", "-m", "incident 7");
    await answers("builtin");
  });

  it("tells who did what and why, also what was done before the controller died", async () => {
    const lines = (await flag("history", "ranker")).trimEnd().split("\n").slice(1);
    expect(lines.map((line) => line.split(/ {2,}/).slice(2))).toEqual([
      ["3", "admin", "turned off", "incident 7"],
      ["2", "admin", expect.stringContaining("new 0 %, old 100 % by targetingKey -> "), "ramp to 100 %"],
      ["1", "admin", "created", "ramp to 0 %"],
    ]);
  });
});
