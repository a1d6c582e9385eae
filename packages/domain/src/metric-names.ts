/** Most metrics of their own that a deployment may be judged on, and that a handler may push. */
export const MAX_USER_METRICS = 16;

/** Metrics that Kedge measures itself; no metric of a user's has such a name. */
export const OWN_METRIC_NAMES = ["errors", "latency", "predictions", "restarts"] as const;

const NAME = /^[A-Za-z_:][A-Za-z0-9_:]{0,127}$/;

/** Tells whether a metric can have this name in the Prometheus text format. At most 128 characters. */
export function isMetricName(value: string): boolean {
  return NAME.test(value);
}
