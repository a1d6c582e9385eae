import { join } from "node:path";
import { pushModelFolder } from "@kedge/client";
import { newId, systemClock } from "@kedge/kernel";
import { parseDeployment } from "@kedge/pipeline";
import { RolloutState } from "@kedge/proto";
import { Cluster } from "./cluster.ts";
import { ensureBaseImage, removeBuiltImages } from "./images.ts";
import { Load, type Tally } from "./load.ts";
import { tellEvents } from "./narrator.ts";
import { type Release, type ReleaseContext, release } from "./release.ts";
import { Repository } from "./repository.ts";
import type { Timeline } from "./timeline.ts";

/** What the story is told with. */
export interface StoryOptions {
  readonly root: string;
  /** Temporary folder; the caller removes it. */
  readonly folder: string;
  readonly docker: boolean;
  readonly timeline: Timeline;
  readonly signal: AbortSignal;
}

/** How the story went. */
export interface StoryResult {
  readonly first: Tally;
  readonly good: Release;
  readonly bad: Release;
  readonly after: Tally;
  /** Splits in force at the end, in basis points by revision. */
  readonly finalSplits: ReadonlyMap<number, number>;
}

const DEPLOYMENT = "voice";
const FIRST_DEPLOYMENT = `
deployment: ${DEPLOYMENT}
model: voice-detector
version: "1"
on: { role: edge }
replicas-per-node: 1
`;
const QUIET_MS = 2000;

/** The demo from an empty folder to the last request. `stop` ends all it started, in whatever state it is. */
export class Story {
  readonly #options: StoryOptions;
  readonly #cluster: Cluster;
  readonly #commits: string[] = [];
  readonly #telling = new AbortController();
  #load: Load | undefined;

  constructor(options: StoryOptions) {
    this.#options = options;
    this.#cluster = new Cluster(options);
  }

  get cluster(): Cluster {
    return this.#cluster;
  }

  async play(): Promise<StoryResult> {
    const { timeline, docker } = this.#options;
    timeline.title("A cluster: one controller, four agents, each a process as you would start it");
    if (docker && (await ensureBaseImage())) timeline.say("docker", "base image made of this machine's own Node");
    await this.#cluster.startController();
    void tellEvents(this.#cluster.client, timeline, this.#telling.signal);
    await this.#cluster.startAgents();
    const first = await this.#serveFirst();
    const repository = new Repository({ ...this.#options, folder: join(this.#options.folder, "repository") });
    const good = await this.#releaseGood(repository);
    const bad = await this.#releaseBad(repository);
    const after = this.#required().phase("after");
    await this.#quiet();
    this.#required().endCounting();
    const { deployment } = await this.#cluster.client.deployments.getDeployment({ name: DEPLOYMENT });
    const splits = deployment?.route?.splits.map((it) => [it.revision, it.basisPoints] as const) ?? [];
    return {
      first,
      good,
      bad: { ...bad, deployment: deployment ?? bad.deployment },
      after,
      finalSplits: new Map(splits),
    };
  }

  /** Ends everything; answers what could not be ended. */
  async stop(): Promise<string[]> {
    this.#telling.abort();
    await this.#load?.stop();
    const problems = await this.#cluster.stop();
    if (!this.#options.docker) return problems;
    const removed = await removeBuiltImages(this.#commits).catch((error: unknown) => String(error));
    return removed === undefined ? problems : [...problems, removed];
  }

  async #serveFirst(): Promise<Tally> {
    const { root, folder, timeline, signal } = this.#options;
    const { client } = this.#cluster;
    timeline.title("1  Silero VAD v5, a speech detector, goes live on both edge nodes");
    const model = join(folder, "first-model");
    await Repository.writeModel(root, model, "v5");
    const header = { model: "voice-detector", tags: ["promoted"], idempotencyKey: newId(systemClock) };
    await pushModelFolder(client, model, header, { signal });
    const { spec, diagnostics } = parseDeployment(FIRST_DEPLOYMENT);
    if (spec === undefined) throw new Error(`the first deployment is wrong: ${diagnostics[0]?.message}`);
    await client.deployments.applyDeployment({ spec, idempotencyKey: newId(systemClock) }, { signal });
    for await (const { deployment } of client.deployments.watchDeployment({ name: DEPLOYMENT }, { signal })) {
      if (deployment?.rollout?.state === RolloutState.SUCCEEDED) break;
    }
    const gateways = await this.#cluster.gateways();
    this.#load = new Load(DEPLOYMENT, gateways);
    await this.#load.firstAnswer;
    timeline.say("traffic", `16 callers send 200 audio frames a second to ${gateways.join(" and ")}`);
    await this.#quiet();
    return this.#load.current;
  }

  async #releaseGood(repository: Repository): Promise<Release> {
    this.#options.timeline.title(
      "2  A commit with Silero v6: test, evaluate, push, then a canary at 10 %, 50 %, 100 %",
    );
    const commit = await repository.commitGood();
    this.#commits.push(commit.commit);
    return release(this.#context(), { commit, pipeline: await repository.pipeline(), phase: "good release" });
  }

  async #releaseBad(repository: Repository): Promise<Release> {
    this.#options.timeline.title("3  A commit with a bug no test finds: frames louder than half scale throw, 3 of 10");
    const commit = await repository.commitBad();
    this.#commits.push(commit.commit);
    return release(this.#context(), { commit, pipeline: await repository.pipeline(), phase: "bad release" });
  }

  #context(): ReleaseContext {
    const { root, timeline, signal } = this.#options;
    const parameters = { onnxruntime: join(root, "node_modules/onnxruntime-node") };
    return { cluster: this.#cluster, load: this.#required(), timeline, deployment: DEPLOYMENT, parameters, signal };
  }

  #required(): Load {
    if (this.#load === undefined) throw new Error("there is no traffic yet");
    return this.#load;
  }

  /** Some seconds of traffic without a release. */
  async #quiet(): Promise<void> {
    await systemClock.sleep(QUIET_MS, this.#options.signal);
  }
}
