import { type Clock, newId } from "@kedge/kernel";
import type { Decision, PipelineSpec, Run, Source } from "@kedge/proto";
import { keepParameters, splitParameters } from "../secrets/run-secrets.ts";
import type { SecretVault } from "../secrets/secret-vault.ts";
import { CompiledPipelines } from "../services/compiled-pipelines.ts";
import type { Stores } from "../stores.ts";
import { newRun } from "./new-run.ts";

/** What a run is submitted with. */
export interface Submission {
  /** Absent: a new one. */
  readonly id?: string;
  /** The kedge.yaml text. */
  readonly pipeline: string;
  /** As given, secret ones included. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Taken as it is: whoever calls vouches for the sender, for whether it is a fork and whether that is trusted. */
  readonly source: Source | undefined;
  readonly submittedBy: string;
  readonly team: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  /** "<run>/<job>" of the call job. */
  readonly calledBy?: string;
  /** The word that let the calling run begin. */
  readonly decision?: Decision | undefined;
}

/** What submissions work with. */
export interface SubmissionsOptions {
  readonly stores: Pick<Stores, "components">;
  readonly vault: SecretVault;
  readonly clock: Clock;
  /** Stores a new run. */
  readonly store: (run: Run) => Promise<Run>;
  /** Queues a run to be looked at. */
  readonly touch: (runId: string) => void;
}

/** The one way by which runs come about, whoever asks for them: people, repositories, other runs. */
export class Submissions {
  readonly #options: SubmissionsOptions;
  readonly #pipelines: CompiledPipelines;

  constructor(options: SubmissionsOptions) {
    this.#options = options;
    this.#pipelines = new CompiledPipelines(options.stores);
  }

  /** The spec of a file; never to be changed. @throws KedgeError INVALID_PIPELINE. */
  compile(pipeline: string, parameters: Readonly<Record<string, string>>): PipelineSpec {
    return this.#pipelines.compile(pipeline, parameters);
  }

  /**
   * Compiles, keeps secret parameters, stores the run and has it looked at.
   *
   * @throws KedgeError INVALID_PIPELINE, INVALID_FIELD, JOB_IMPOSSIBLE, TOO_LARGE, SECRET_KEY_LOST, BUS_UNAVAILABLE; CONFLICT
   *   when the id is taken.
   */
  async submit(submission: Submission): Promise<Run> {
    const { vault, clock, store, touch } = this.#options;
    const { id = newId(clock), pipeline, parameters, idempotencyKey = "", ...given } = submission;
    const spec = this.compile(pipeline, parameters);
    const { shown, secret } = splitParameters(spec.parameters, parameters);
    const secretParameters = [...secret.keys()];
    const run = newRun({
      ...given,
      ...{ id, spec, idempotencyKey, secretParameters },
      parameters: shown,
      nowMs: clock.now(),
    });
    await keepParameters(vault, run.id, { secret, by: given.submittedBy });
    const created = await store(run);
    touch(created.id);
    return created;
  }
}
