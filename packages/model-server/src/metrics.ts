import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Why a request failed, in Triton's words. */
export type FailureReason = "REJECTED" | "CANCELED" | "BACKEND" | "OTHER";

/** Where the time of an answered request went. */
export interface RequestTimes {
  readonly batch: number;
  readonly totalMs: number;
  readonly queueMs: number;
  readonly inputMs: number;
  readonly inferMs: number;
  readonly outputMs: number;
}

/** Labels of every series. */
export interface MetricLabels {
  readonly model: string;
  readonly version: string;
  readonly node?: string;
  readonly revision?: string;
}

/** Running totals, for the statistics endpoint. */
export interface Totals {
  success: { count: number; ms: number };
  fail: { count: number; ms: number };
  inferences: number;
  queueMs: number;
  inputMs: number;
  inferMs: number;
  outputMs: number;
}

const DURATION_BUCKETS_US = [
  250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
];
const US_PER_MS = 1000;

/** Counts requests under the metric names of Triton, with a true histogram of durations beside them. */
export class ModelMetrics {
  readonly registry = new Registry();
  readonly totals: Totals = {
    success: { count: 0, ms: 0 },
    fail: { count: 0, ms: 0 },
    inferences: 0,
    queueMs: 0,
    inputMs: 0,
    inferMs: 0,
    outputMs: 0,
  };
  readonly #success: Counter;
  readonly #failure: Counter;
  readonly #inferences: Counter;
  readonly #executions: Counter;
  readonly #requestUs: Counter;
  readonly #queueUs: Counter;
  readonly #inputUs: Counter;
  readonly #inferUs: Counter;
  readonly #outputUs: Counter;
  readonly #histogram: Histogram;

  /** `pending` is asked at every scrape. */
  constructor(labels: MetricLabels, pending: () => number) {
    this.registry.setDefaultLabels({ ...labels });
    collectDefaultMetrics({ register: this.registry });
    this.#success = this.#counter("nv_inference_request_success", "Successful inference requests");
    this.#failure = this.#counter("nv_inference_request_failure", "Failed inference requests", ["reason"]);
    this.#inferences = this.#counter("nv_inference_count", "Inferences made: a batch of n counts n");
    this.#executions = this.#counter("nv_inference_exec_count", "Requests the model was executed for");
    this.#requestUs = this.#counter("nv_inference_request_duration_us", "Time from arrival to answer, microseconds");
    this.#queueUs = this.#counter(
      "nv_inference_queue_duration_us",
      "Time requests waited for their turn, microseconds",
    );
    this.#inputUs = this.#counter("nv_inference_compute_input_duration_us", "Time in preprocessing, microseconds");
    this.#inferUs = this.#counter("nv_inference_compute_infer_duration_us", "Time in the model, microseconds");
    this.#outputUs = this.#counter("nv_inference_compute_output_duration_us", "Time in postprocessing, microseconds");
    this.#histogram = new Histogram({
      name: "nv_inference_request_duration_histogram_us",
      help: "Time from arrival to answer of successful requests, microseconds",
      buckets: DURATION_BUCKETS_US,
      registers: [this.registry],
    });
    new Gauge({
      name: "nv_inference_pending_request_count",
      help: "Requests waiting or in work",
      registers: [this.registry],
      collect() {
        this.set(pending());
      },
    });
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  succeeded(times: RequestTimes): void {
    const { totals } = this;
    totals.success.count++;
    totals.success.ms += times.totalMs;
    totals.inferences += times.batch;
    totals.queueMs += times.queueMs;
    totals.inputMs += times.inputMs;
    totals.inferMs += times.inferMs;
    totals.outputMs += times.outputMs;
    this.#success.inc();
    this.#inferences.inc(times.batch);
    this.#executions.inc();
    this.#requestUs.inc(times.totalMs * US_PER_MS);
    this.#queueUs.inc(times.queueMs * US_PER_MS);
    this.#inputUs.inc(times.inputMs * US_PER_MS);
    this.#inferUs.inc(times.inferMs * US_PER_MS);
    this.#outputUs.inc(times.outputMs * US_PER_MS);
    this.#histogram.observe(times.totalMs * US_PER_MS);
  }

  failed(reason: FailureReason, totalMs: number): void {
    this.totals.fail.count++;
    this.totals.fail.ms += totalMs;
    this.#failure.inc({ reason });
  }
}
