import { createLogger } from "@kedge/kernel";
import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { HandlerMetrics } from "./handler-metrics.ts";
import { launchServer } from "./testing/launch-server.ts";
import { ELEMENT, identityModel } from "./testing/onnx-models.ts";

const MODEL = identityModel([{ name: "x", element: ELEMENT.FP32, shape: [1] }]);
const HANDLER = `
export function postprocess(response, context) {
  const [x] = response.outputs.x_out.data;
  context.metrics.observe("score", x);
  context.metrics.count("fallbacks");
  context.metrics.observe("errors", 1);
  context.metrics.observe("process_cpu_seconds_total", 1);
  context.metrics.count("score");
  context.metrics.observe("score", NaN);
  return response;
}`;

it("tells what handlers push at /metrics, warm-up requests left out, and fails no request over a metric it cannot take", async () => {
  await using server = await launchServer({ "model.onnx": MODEL, "handler.mjs": HANDLER });
  for (const x of [0.5, 0.25, 2]) {
    const inputs = [{ name: "x", datatype: "FP32", shape: [1], data: [x] }];
    expect((await server.post("/models/demo/infer", { inputs })).status).toBe(200);
  }
  const text = await (await fetch(server.url.replace("/v2", "/metrics"))).text();
  const value = (series: string): number =>
    Number(
      text
        .split("\n")
        .find((line) => line.startsWith(series))
        ?.split(" ")
        .at(-1),
    );
  expect(value("score_count")).toBe(3);
  expect(value("score_sum")).toBe(2.75);
  expect(value('score_bucket{le="0.26"')).toBe(1);
  expect(value('score_bucket{le="1"')).toBe(2);
  expect(value("fallbacks")).toBe(3);
  expect(text).not.toMatch(/^errors/m);
  const warned = server.stderr.filter((line) => line.includes("a pushed metric is left out"));
  expect(warned).toHaveLength(3);
});

it("takes at most 16 names", async () => {
  const registry = new Registry();
  const metrics = new HandlerMetrics(registry, createLogger({ name: "test", level: "silent" }));
  for (let i = 0; i < 100; i++) metrics.count(`m${i}`, i);
  metrics.count("m2", -1);
  metrics.count("no name", 1);
  expect(registry.getMetricsAsArray()).toHaveLength(16);
  expect(await registry.getSingleMetric("m2")?.get()).toMatchObject({ values: [{ value: 2 }] });
});
