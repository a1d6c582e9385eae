import { KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import type { Run, SubmitRunRequest } from "@kedge/proto";
import type { Principal } from "@kedge/rpc";
import type { Submissions } from "../runs/submission.ts";
import { DEFAULT_TEAM } from "../scheduling/job-demand.ts";
import type { Stores } from "../stores.ts";
import { lookUp } from "./lookup.ts";
import { RunIndex } from "./run-index.ts";

/** What a submitter works with. */
export interface RunSubmitterOptions {
  readonly stores: Pick<Stores, "runs" | "pipelines">;
  readonly submissions: Submissions;
  readonly clock: Clock;
}

const MAX_KEY = 200;
const MAX_LABELS = 64;

/** Submits runs, each once for its idempotency key. */
export class RunSubmitter {
  readonly #options: RunSubmitterOptions;
  readonly #index: RunIndex;
  readonly #submitting = new Map<string, Promise<Run>>();

  constructor(options: RunSubmitterOptions) {
    this.#options = options;
    this.#index = new RunIndex(options.stores.runs);
  }

  /**
   * Submits a run for somebody. The source is taken as it is: whoever calls vouches for what it says of its sender.
   *
   * @throws KedgeError PIPELINE_NOT_FOUND, and what `Submissions.submit` throws.
   */
  async submit(request: SubmitRunRequest, principal: Principal): Promise<Run> {
    const key = request.idempotencyKey;
    assertSubmit(request);
    if (key === "") return this.#submit(request, principal);
    const known = this.#index.find(key, this.#options.clock.now());
    if (known !== undefined) return known;
    // Two calls with one key at the same time share the one submission.
    const pending = this.#submitting.get(key) ?? this.#submit(request, principal);
    this.#submitting.set(key, pending);
    try {
      return await pending;
    } finally {
      this.#submitting.delete(key);
    }
  }

  async #submit(request: SubmitRunRequest, { name, team }: Principal): Promise<Run> {
    const { parameters, labels, idempotencyKey, source } = request;
    return this.#options.submissions.submit({
      pipeline: pipelineOf(this.#options.stores, request),
      ...{ parameters, labels, idempotencyKey, source },
      submittedBy: name,
      team: team ?? DEFAULT_TEAM,
    });
  }
}

function assertSubmit({ idempotencyKey, labels }: SubmitRunRequest): void {
  if (idempotencyKey.length > MAX_KEY) {
    throw new KedgeError("INVALID_FIELD", `idempotency_key has more than ${MAX_KEY} characters`, {
      field: "idempotency_key",
    });
  }
  if (Object.keys(labels).length > MAX_LABELS) {
    throw new KedgeError("INVALID_FIELD", `a run has at most ${MAX_LABELS} labels`, { field: "labels" });
  }
}

function pipelineOf(stores: Pick<Stores, "pipelines">, { pipeline }: SubmitRunRequest): string {
  const notFound = { reason: "PIPELINE_NOT_FOUND", noun: "pipeline", field: "pipeline_name" } as const;
  const source =
    pipeline.case === "pipelineName" ? lookUp(stores.pipelines, pipeline.value, notFound).value.source : pipeline.value;
  if (source !== undefined && source !== "") return source;
  throw new KedgeError("INVALID_FIELD", "pipeline_source or pipeline_name is missing", { field: "pipeline_source" });
}
