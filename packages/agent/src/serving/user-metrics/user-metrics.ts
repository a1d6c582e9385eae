import { create } from "@bufbuild/protobuf";
import { isMetricName, MAX_USER_METRICS } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import {
  MetricKind,
  type MetricSpec,
  type ReplicaExposure,
  RevisionWindowSchema,
  type Route,
  type Window,
} from "@kedge/proto";
import { DeploymentMetrics, type ScrapedReplica } from "./deployment-metrics.ts";
import { scrape } from "./scrape.ts";

/** A ready replica that can be asked for metrics. */
export interface MetricsTarget extends Omit<ScrapedReplica, "text"> {
  readonly port: number;
  readonly path: string;
}

/** What UserMetrics works with. */
export interface UserMetricsOptions {
  readonly clock: Clock;
  /** A deployment's ready replicas. */
  readonly targets: (deployment: string) => readonly MetricsTarget[];
  /** What its replicas were exposed to since the last call, by revision. */
  readonly exposures: (deployment: string) => ReadonlyMap<number, ReplicaExposure>;
}

interface Followed {
  readonly metrics: DeploymentMetrics;
  readonly specs: readonly MetricSpec[];
  generation: bigint;
  readonly abort: AbortController;
}

const SCRAPE_MS = 1000;
const KINDS: readonly MetricKind[] = [MetricKind.SAMPLES, MetricKind.MEAN, MetricKind.COUNT];

/**
 * Asks replicas for the metrics that routes' judgements name, once a second, and puts what they told into the gateway's windows, with the
 * restarts of replicas. Nothing is asked for while no route names any.
 */
export class UserMetrics {
  readonly #options: UserMetricsOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #loops = new Set<Promise<void>>();

  constructor(options: UserMetricsOptions) {
    this.#options = options;
  }

  /** Follows a deployment's route, or its end. */
  follow(deployment: string, route: Route | undefined): void {
    const specs = (route?.judgement?.analysis?.metrics ?? []).filter(isScraped).slice(0, MAX_USER_METRICS);
    const known = this.#followed.get(deployment);
    if (route !== undefined && known !== undefined && isSame(known.specs, specs)) {
      if (known.generation !== route.generation) known.metrics.restart();
      known.generation = route.generation;
      return;
    }
    known?.abort.abort();
    this.#followed.delete(deployment);
    if (route === undefined || specs.length === 0) return;
    const abort = new AbortController();
    const followed = { specs, metrics: new DeploymentMetrics(specs), generation: route.generation, abort };
    this.#followed.set(deployment, followed);
    const loop = this.#keepScraping(deployment, followed).finally(() => this.#loops.delete(loop));
    this.#loops.add(loop);
  }

  /** Adds what came since the deployment's last window. A revision with replicas and without a share is added, too. */
  complete(window: Window): Window {
    const { deployment } = window;
    const exposures = this.#options.exposures(deployment);
    const shown = new Set(window.revisions.map(({ revision }) => revision));
    const others = [...exposures.keys()].filter((revision) => !shown.has(revision));
    const added = others.map((revision) => create(RevisionWindowSchema, { revision }));
    const followed = this.#followed.get(deployment);
    for (const { revision, requests } of [...window.revisions, ...window.matched]) {
      followed?.metrics.addRequests(revision, requests);
    }
    const revisions = [...window.revisions, ...added].map((part) => {
      const exposure = exposures.get(part.revision);
      const metrics = followed?.metrics.take(part.revision) ?? [];
      return { ...part, metrics, ...(exposure === undefined ? {} : { exposure }) };
    });
    return { ...window, revisions };
  }

  async stop(): Promise<void> {
    for (const { abort } of this.#followed.values()) abort.abort();
    this.#followed.clear();
    await Promise.all(this.#loops);
  }

  async #keepScraping(deployment: string, followed: Followed): Promise<void> {
    const { clock, targets } = this.#options;
    const { signal } = followed.abort;
    while (!signal.aborted) {
      const { generation } = followed;
      const scraped = await Promise.all(
        targets(deployment).map(async ({ port, path, ...replica }) => ({
          ...replica,
          text: await scrape({ port, path, signal }),
        })),
      );
      // Under another route by now: part of what was told belongs to the one before.
      if (!signal.aborted && generation === followed.generation) followed.metrics.addScrape(scraped);
      await clock.sleep(SCRAPE_MS, signal).catch(() => {}); // The loop's test sees the abort.
    }
  }
}

/** A route is signed, and still no reason to look for what cannot be. */
function isScraped({ name, kind, lower, upper }: MetricSpec): boolean {
  return isMetricName(name) && KINDS.includes(kind) && (kind !== MetricKind.MEAN || lower < upper);
}

function isSame(a: readonly MetricSpec[], b: readonly MetricSpec[]): boolean {
  const key = (specs: readonly MetricSpec[]) =>
    JSON.stringify(specs.map(({ name, kind, lower, upper }) => [name, kind, lower, upper]));
  return key(a) === key(b);
}
