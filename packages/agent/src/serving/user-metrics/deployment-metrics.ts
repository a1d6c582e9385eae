import { MetricKind, MetricProblem, type MetricSpec, type UserMetric } from "@kedge/proto";
import { type MetricReading, parseExposition } from "./exposition.ts";
import { type MetricGrowth, metricGrowth } from "./metric-growth.ts";
import { MetricSums } from "./metric-sums.ts";

/** A ready replica, and what it answered at its metrics path. */
export interface ScrapedReplica {
  readonly replicaId: string;
  readonly revision: number;
  /** Grows with every start of the replica: counters begin anew with it. */
  readonly run: number;
  /** Undefined when it did not answer. */
  readonly text: string | undefined;
}

interface Known {
  readonly run: number;
  readonly readings: ReadonlyMap<string, MetricReading>;
}

interface Replica {
  readonly revision: number;
  readonly before: Known | undefined;
  readonly readings: Known["readings"];
}

const UNREADABLE: MetricGrowth = { case: "problem", value: MetricProblem.UNREADABLE };
const ABSENT: MetricGrowth = { case: "problem", value: MetricProblem.ABSENT };

/** The users' metrics of one deployment on this node: scrapes in, sums by revision out. */
export class DeploymentMetrics {
  readonly #specs: readonly MetricSpec[];
  #known = new Map<string, Known>();
  readonly #sums = new Map<number, readonly MetricSums[]>();
  readonly #requests = new Map<number, number>();

  constructor(specs: readonly MetricSpec[]) {
    this.#specs = specs;
  }

  /** Begins anew with what counters are compared with: what grew while traffic changed belongs to neither split. */
  restart(): void {
    this.#known.clear();
    this.#requests.clear();
  }

  /** Counts requests that a revision was sent. */
  addRequests(revision: number, requests: number): void {
    this.#requests.set(revision, (this.#requests.get(revision) ?? 0) + requests);
  }

  /**
   * Takes one scrape of all ready replicas. One in which a replica did not answer is none: what grew is found by the next, for
   * all of them over the same time.
   */
  addScrape(scraped: readonly ScrapedReplica[]): void {
    const unread = scraped.filter(({ text }) => text === undefined);
    for (const { revision } of unread) for (const sums of this.#sumsOf(revision)) sums.add([UNREADABLE], 0);
    if (unread.length > 0) return;
    const names = this.#specs.map(({ name }) => name);
    const known = new Map<string, Known>();
    const replicas = scraped.map(({ replicaId, revision, run, text = "" }): Replica => {
      const last = this.#known.get(replicaId);
      const readings = parseExposition(text, names);
      known.set(replicaId, { run, readings });
      return { revision, before: last?.run === run ? last : undefined, readings };
    });
    this.#known = known;
    for (const [i, spec] of this.#specs.entries()) this.#add(i, spec, replicas);
    this.#requests.clear();
  }

  /** What came since the last call, one entry a metric. */
  take(revision: number): UserMetric[] {
    return this.#sumsOf(revision).map((sums) => sums.take());
  }

  #add(index: number, spec: MetricSpec, replicas: readonly Replica[]): void {
    const growths = replicas.map((replica) => ({ revision: replica.revision, growth: growthOf(spec, replica) }));
    const isWhole = growths.every(({ growth }) => growth !== undefined && growth.case !== "problem");
    for (const revision of new Set(replicas.map((replica) => replica.revision))) {
      const own = growths.flatMap((each) => (each.revision === revision && each.growth ? [each.growth] : []));
      // Requests are counted for all replicas, so a count without those that are new would look too small.
      const counts = spec.kind !== MetricKind.COUNT || isWhole;
      const told = counts ? own : own.filter((growth) => growth.case === "problem");
      this.#sumsOf(revision)[index]?.add(told, this.#requests.get(revision) ?? 0);
    }
  }

  #sumsOf(revision: number): readonly MetricSums[] {
    const sums = this.#sums.get(revision) ?? this.#specs.map(({ name }) => new MetricSums(name));
    this.#sums.set(revision, sums);
    return sums;
  }
}

function growthOf(spec: MetricSpec, { readings, before }: Replica): MetricGrowth | undefined {
  const reading = readings.get(spec.name);
  if (reading === undefined) return ABSENT;
  return metricGrowth(spec, reading, before && (before.readings.get(spec.name) ?? "absent"));
}
