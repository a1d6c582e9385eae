import type { ModelHost } from "./model-host.ts";

const NS_PER_MS = 1e6;

/** The answer of the statistics extension. */
export function modelStatistics(host: ModelHost) {
  const { totals } = host.metrics;
  const { count } = totals.success;
  const duration = (n: number, ms: number) => ({ count: n, ns: Math.round(ms * NS_PER_MS) });
  return {
    model_stats: [
      {
        name: host.config.name,
        version: host.config.version,
        last_inference: host.lastInferenceAt,
        inference_count: totals.inferences,
        execution_count: count,
        inference_stats: {
          success: duration(count, totals.success.ms),
          fail: duration(totals.fail.count, totals.fail.ms),
          queue: duration(count, totals.queueMs),
          compute_input: duration(count, totals.inputMs),
          compute_infer: duration(count, totals.inferMs),
          compute_output: duration(count, totals.outputMs),
          cache_hit: duration(0, 0),
          cache_miss: duration(0, 0),
        },
        batch_stats: [],
        memory_usage: [],
      },
    ],
  };
}
