import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { errorMessage, KedgeError } from "@kedge/domain";
import { startsRun } from "@kedge/pipeline/forge";
import {
  type Repository,
  Role,
  type Run,
  type Source,
  type SubmitRunRequest,
  SubmitRunRequestSchema,
} from "@kedge/proto";
import type { Principal } from "@kedge/rpc";
import type { Stores } from "../stores.ts";
import type { Clone } from "./git-cache.ts";
import { type LoadedPipeline, loadPipelines } from "./load-pipelines.ts";

/** Submits a run for somebody. Fails as SubmitRun does. */
export type Submit = (request: SubmitRunRequest, principal: Principal) => Promise<Run>;

/** What runs are started with. */
export interface RunStarterOptions {
  readonly stores: Pick<Stores, "pipelines">;
  readonly submit: Submit;
}

/** A change that may start runs. */
export interface StartRequest {
  readonly repository: Repository;
  readonly source: Source;
  /** The fetched commit whose pipeline files count: of a fork's change, the one it is to be merged into. */
  readonly filesAt: string;
  readonly clone: Clone;
  /** What makes the same change start nothing twice. */
  readonly key: string;
}

/** What became of a change. */
export interface Started {
  readonly runIds: string[];
  /** Pipelines that cannot be run, and why. */
  readonly problems: { readonly from: string; readonly problem: string }[];
  /** Why nothing was started, for people; empty when something was. */
  readonly why: string;
}

/** Starts the runs that a repository's pipelines want of a change. */
export class RunStarter {
  readonly #options: RunStarterOptions;

  constructor(options: RunStarterOptions) {
    this.#options = options;
  }

  /**
   * Starts them, each once for a key. What is wrong with a pipeline is told, not thrown.
   *
   * @throws KedgeError that may pass: GIT_FAILED, BUS_UNAVAILABLE, NOT_LEADER, ...
   */
  async start(request: StartRequest): Promise<Started> {
    const { repository, source, filesAt, clone } = request;
    const loaded = await loadPipelines({ repository, commit: filesAt, clone }, this.#options.stores);
    const options = { pollsForPushes: repository.pollSeconds > 0 };
    const wanted = loaded.pipelines.filter(({ triggers }) => startsRun(triggers, source, options));
    const runIds: string[] = [];
    const problems = [...loaded.broken];
    for (const pipeline of wanted) {
      const outcome = await this.run(request, pipeline, {});
      if ("run" in outcome) runIds.push(outcome.run.id);
      else problems.push({ from: pipeline.from, problem: outcome.problem });
    }
    const missing = loaded.missing.map((file) => `there is no ${file} at ${filesAt.slice(0, 12)}`);
    const unfit = loaded.pipelines.length > 0 && wanted.length === 0 ? ["no trigger fits"] : [];
    return { runIds, problems, why: runIds.length > 0 ? "" : [...missing, ...unfit].join("; ") };
  }

  /** Starts a run of one pipeline. Fails like `start`. */
  async run(
    { repository, source, key }: Pick<StartRequest, "repository" | "source" | "key">,
    pipeline: LoadedPipeline,
    parameters: Readonly<Record<string, string>>,
  ): Promise<{ readonly run: Run } | { readonly problem: string }> {
    const request = create(SubmitRunRequestSchema, {
      pipeline:
        pipeline.file === ""
          ? { case: "pipelineName", value: pipeline.name }
          : { case: "pipelineSource", value: pipeline.source },
      parameters,
      source,
      idempotencyKey: `${key}/${shortDigest(pipeline.from)}`,
      labels: { repository: repository.name },
    });
    const team = repository.team === "" ? {} : { team: repository.team };
    try {
      return {
        run: await this.#options.submit(request, {
          name: submitterOf(repository, source),
          role: Role.OPERATOR,
          ...team,
        }),
      };
    } catch (error) {
      if (!(error instanceof KedgeError) || error.retryable) throw error;
      return { problem: errorMessage(error) };
    }
  }
}

/** 16 hex digits that stand for a text. */
export function shortDigest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** Whoever the forge authenticated, never a name that a token of Kedge could have. */
function submitterOf({ name }: Repository, { sender }: Source): string {
  return sender === "" ? `repository/${name}` : `repository/${name}/${sender}`;
}
