// A feature flag's way: from the call that applies it to the first answer that goes by it, of the node's OpenFeature
// endpoint and of a model's handler behind the gateway. Beside it what one evaluation costs.
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { pushModelFolder } from "@kedge/client";
import { systemClock } from "@kedge/kernel";
import { parseDeployment } from "@kedge/pipeline";
import { type Flag, FlagSchema, FlagsSchema, FlagType, RolloutState } from "@kedge/proto";
import { FlagSet, withPlaces } from "@kedge/rollout/flags";
import { quantile, startBenchCluster, until } from "./bench-cluster.ts";

const CHANGES = 40;
const EVALUATIONS = 300_000;
const HANDLER = `
export function postprocess(response, context) {
  context.label(String(context.flags.number("step", -1, { targetingKey: "ann" })));
  return response;
}`;
const REQUEST = JSON.stringify({
  inputs: [
    { name: "input", datatype: "FP32", shape: [1, 512], data: new Array(512).fill(0) },
    { name: "state", datatype: "FP32", shape: [2, 1, 128], data: new Array(256).fill(0) },
    { name: "sr", datatype: "INT64", shape: [], data: [16_000] },
  ],
});

/** A flag of two rules: one that does not hold, and a split that gives everybody `value`. */
function flagOf(value: number): Flag {
  const isTester = {
    attribute: "group",
    test: { case: "in" as const, value: { values: [fromJson(ValueSchema, "x")] } },
  };
  const shares = [{ variant: "new", basisPoints: 10_000 }];
  return create(FlagSchema, {
    ...{ name: "step", type: FlagType.NUMBER, defaultVariant: "old" },
    variants: { old: fromJson(ValueSchema, 0), new: fromJson(ValueSchema, value) },
    rules: [
      { name: "testers", conditions: [isTester], serve: { case: "variant", value: "old" } },
      { name: "ramp", serve: { case: "split", value: { shares } } },
    ],
  });
}

measureEvaluations();
await using cluster = await startBenchCluster([{ name: "edge-1", labels: { role: "edge" } }]);
const { client } = cluster;
const gateway = await serveModel();
const port = (await readFile(join(cluster.dir, "edge-1", "flags.port"), "utf8")).trim();
await measureChanges();

function measureEvaluations(): void {
  const set = new FlagSet(create(FlagsSchema, { flags: [withPlaces(flagOf(1), undefined)] }));
  let right = 0;
  const start = systemClock.monotonic();
  for (let i = 0; i < EVALUATIONS; i++) {
    if (set.evaluate("step", { targetingKey: `user-${i}`, group: "y" }).value === 1) right += 1;
  }
  const ms = systemClock.monotonic() - start;
  if (right !== EVALUATIONS) throw new Error(`${EVALUATIONS - right} evaluations were wrong`);
  console.log(`an evaluation of two rules, the second a split: ${((ms * 1000) / EVALUATIONS).toFixed(2)} µs`);
}

async function serveModel(): Promise<string> {
  const folder = join(cluster.dir, "model");
  await mkdir(folder);
  const network = fileURLToPath(import.meta.resolve("@ricky0123/vad-web/package.json"));
  await cp(join(network, "../dist/silero_vad_v5.onnx"), join(folder, "model.onnx"));
  await writeFile(join(folder, "handler.mjs"), HANDLER);
  const warmup = {
    inputs: { input: { shape: [1, 512] }, state: { shape: [2, 1, 128] }, sr: { shape: [], fill: 16_000 } },
  };
  await writeFile(join(folder, "model.json"), JSON.stringify({ warmup }));
  await pushModelFolder(client, folder, { model: "vad" });
  const { spec } = parseDeployment("deployment: vad\nmodel: vad\nversion: 1\nreplicas: 1\nall-at-once: {}\n");
  if (spec === undefined) throw new Error("the deployment file is wrong");
  await client.deployments.applyDeployment({ spec });
  await until(async () => {
    const { deployment } = await client.deployments.getDeployment({ name: "vad" });
    return deployment?.rollout?.state === RolloutState.SUCCEEDED || undefined;
  }, "the model is served");
  const { nodes } = await client.nodes.listNodes({});
  return nodes[0]?.gatewayAddress ?? "";
}

async function asked(): Promise<number> {
  const url = `http://127.0.0.1:${port}/ofrep/v1/evaluate/flags/step`;
  const response = await fetch(url, { method: "POST", body: '{"context":{"targetingKey":"ann"}}' });
  return Number(Reflect.get(Object(await response.json()), "value"));
}

async function handled(): Promise<number> {
  const response = await fetch(`http://${gateway}/v2/models/vad/infer`, { method: "POST", body: REQUEST });
  await response.arrayBuffer();
  return Number(response.headers.get("kedge-prediction"));
}

/** Milliseconds until `probe` says `value`; asks again at once. */
async function timeTo(value: number, probe: () => Promise<number>, start: number): Promise<number> {
  while ((await probe()) !== value) await systemClock.sleep(1);
  return systemClock.monotonic() - start;
}

async function measureChanges(): Promise<void> {
  const times = { applied: [] as number[], node: [] as number[], handler: [] as number[] };
  for (let value = 1; value <= CHANGES; value++) {
    const start = systemClock.monotonic();
    const applying = client.flags.applyFlag({ flag: flagOf(value) }).then(() => systemClock.monotonic() - start);
    const [applied, node, handler] = await Promise.all([
      applying,
      timeTo(value, asked, start),
      timeTo(value, handled, start),
    ]);
    times.applied.push(applied);
    times.node.push(node);
    times.handler.push(handler);
  }
  for (const [what, all] of Object.entries(times)) {
    const [median, worst] = [quantile(all, 0.5), Math.max(...all)];
    console.log(`apply to ${what}: median ${median.toFixed(0)} ms, worst of ${CHANGES} ${worst.toFixed(0)} ms`);
  }
}
