import type { ArtifactDraft, JobDraft, LoginDraft, StepDraft } from "./draft.ts";
import { Names, secretName } from "./report.ts";

/** A job that is being put together. */
export class Job {
  readonly name: string;
  readonly draft: JobDraft;
  readonly steps: StepDraft[] = [];
  /** Steps before which the checkout stands. */
  hasCheckout = false;
  readonly #artifactNames = new Names();
  readonly #stepNames = new Names();
  readonly #artifacts: ArtifactDraft[] = [];
  readonly #secrets = new Map<string, Record<string, string>>();
  readonly #logins = new Map<string, LoginDraft>();
  readonly #inputs = new Set<string>();

  constructor(name: string, draft: JobDraft) {
    this.name = name;
    this.draft = draft;
  }

  /** Adds steps of a stage; the first few words name each. */
  addSteps(stage: string, steps: readonly StepDraft[]): void {
    for (const step of steps) {
      const wanted = step.name ?? stage;
      const { name: _, ...rest } = step;
      this.steps.push({ name: this.#stepNames.take(wanted), ...rest });
    }
  }

  /** Leaves files; an artifact with the same paths is not left twice. */
  addArtifact(artifact: ArtifactDraft): string {
    const same = this.#artifacts.find(
      (it) => it.report === artifact.report && it.on === artifact.on && it.paths.join() === artifact.paths.join(),
    );
    if (same !== undefined) return same.name;
    const name = this.#artifactNames.take(artifact.name);
    this.#artifacts.push({ ...artifact, name });
    return name;
  }

  get artifacts(): readonly ArtifactDraft[] {
    return this.#artifacts;
  }

  addSecret(id: string, variable: string): void {
    this.#secrets.set(`env ${variable}`, { secret: secretName(id), env: variable });
  }

  addSecretFile(id: string): void {
    const secret = secretName(id);
    this.#secrets.set(`file ${secret}`, { secret, file: secret });
  }

  addSecretParameter(parameter: string): void {
    this.#secrets.set(`env ${parameter}`, { parameter, env: parameter });
  }

  /** @param credentials of Jenkins: a name and a password, which are a secret each. */
  addLogin(host: string, credentials: string): void {
    const [user, password] = [secretName(`${credentials}_USR`), secretName(`${credentials}_PSW`)];
    this.#logins.set(host, { host, username: { secret: user }, password });
  }

  addInput(job: string, artifact: string): void {
    const key = `${job} ${artifact}`;
    if (this.#inputs.has(key)) return;
    this.#inputs.add(key);
    this.draft.inputs = [...(this.draft.inputs ?? []), { job, artifact }];
  }

  /** The job as it is written, in the order that people read it in. */
  finish(): Omit<JobDraft, "steps"> & { steps?: (StepDraft | "checkout")[] } {
    const { title, needs, when, matrix, inputs, post, ...rest } = this.draft;
    const steps = this.steps.length > 0 ? this.steps : [{ name: "nothing", run: "true" }];
    const isSteps = rest.approval === undefined && rest.call === undefined;
    return {
      ...(title === undefined ? {} : { title }),
      ...(needs === undefined || needs.length === 0 ? {} : { needs }),
      ...(when === undefined ? {} : { when }),
      ...(matrix === undefined ? {} : { matrix }),
      ...rest,
      ...(this.#secrets.size === 0 ? {} : { secrets: [...this.#secrets.values()] }),
      ...(this.#logins.size === 0 ? {} : { registries: [...this.#logins.values()] }),
      ...(inputs === undefined ? {} : { inputs }),
      ...(isSteps ? { steps: steps.map(shortest) } : {}),
      ...(post === undefined ? {} : { post }),
      ...(this.#artifacts.length === 0 ? {} : { artifacts: this.#artifacts }),
    };
  }
}

/** A checkout of the run's source is written as a word. */
function shortest(step: StepDraft): StepDraft | "checkout" {
  const { name, checkout, ...rest } = step;
  const isPlain = checkout !== undefined && Object.keys(checkout).length === 0 && Object.keys(rest).length === 0;
  return isPlain && name === "checkout" ? "checkout" : step;
}
