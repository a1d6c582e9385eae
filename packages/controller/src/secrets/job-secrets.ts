import { isSealKeyOf, type SecretValueMap, sealSecrets } from "@kedge/bus";
import { KedgeError } from "@kedge/domain";
import type { Job, JobSpec, Run, SealKey, Step, TaskRefFull } from "@kedge/proto";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Stores } from "../stores.ts";
import { forkProblem, scopeProblem } from "./scope.ts";
import type { SecretVault } from "./secret-vault.ts";

/** What jobs are given secrets with. */
export interface JobSecretsOptions {
  readonly stores: Pick<Stores, "nodes">;
  readonly registry: NodeRegistry;
  readonly vault: SecretVault;
}

const PARAMETER = /^parameters\.(.+)$/;

/** The names of all secrets that a job asks for: its own, those of its registries, builds and checkouts, once each. */
export function secretNames(spec: JobSpec): string[] {
  const steps = spec.work.case === "steps" ? spec.work.value.steps : [];
  const post = spec.post.flatMap(({ step }) => step ?? []);
  const own = spec.secrets.map(({ secret }) => secret);
  const logins = spec.registries.flatMap((it) => [it.usernameSecret, it.passwordSecret]).filter((name) => name !== "");
  return [...new Set([...own, ...logins, ...[...steps, ...post].flatMap(namesOfStep)])];
}

function namesOfStep({ action }: Step): string[] {
  if (action.case === "checkout") return action.value.credential === "" ? [] : [action.value.credential];
  return action.case === "build" ? action.value.secrets.map(({ secret }) => secret) : [];
}

/** Decides which secrets an attempt of a job gets, and seals them so that only its node can read them. */
export class JobSecrets {
  readonly #options: JobSecretsOptions;

  constructor(options: JobSecretsOptions) {
    this.#options = options;
  }

  /**
   * The job's secrets, sealed for one attempt; empty when it asks for none.
   *
   * @throws KedgeError SECRET_NOT_FOUND, SECRET_OUT_OF_SCOPE, SECRET_KEY_LOST, SIGNATURE_INVALID: the job cannot have what it
   *   asks for, and trying again does not help.
   */
  async sealFor(run: Run, job: Job, ref: TaskRefFull): Promise<Uint8Array> {
    const names = job.spec === undefined ? [] : secretNames(job.spec);
    if (names.length === 0) return new Uint8Array();
    const values = await this.#values(run, job, names);
    return sealSecrets(values, this.#sealKey(ref.nodeId).publicKey, ref);
  }

  async #values(run: Run, job: Job, names: readonly string[]): Promise<SecretValueMap> {
    const { vault } = this.#options;
    const fork = forkProblem(run);
    const values = new Map<string, Uint8Array>();
    for (const name of names) {
      if (fork !== undefined) throw outOfScope(name, job, fork);
      const parameter = PARAMETER.exec(name)?.[1];
      if (parameter !== undefined) {
        values.set(name, await vault.valueOfRun(run.id, parameter));
        continue;
      }
      const { scope } = vault.find(name);
      const problem = scope === undefined ? undefined : scopeProblem(scope, run, job);
      if (problem !== undefined) throw outOfScope(name, job, problem);
      values.set(name, await vault.value(name));
    }
    return values;
  }

  #sealKey(nodeId: string): SealKey {
    const { stores, registry } = this.#options;
    const node = stores.nodes.get(nodeId)?.value;
    // A node that has just come up is placed on before its document says all it told.
    const told = [registry.latest(nodeId)?.sealKey, node?.sealKey];
    const key = told.find((each) => each !== undefined && node && isSealKeyOf(nodeId, node.publicKey, each));
    if (key !== undefined) return key;
    throw new KedgeError("UNSUPPORTED", `node ${nodeId} told no key that secrets can be sealed to`, {
      field: "seal_key",
      hint: "update the node's agent",
    });
  }
}

function outOfScope(name: string, job: Job, problem: string): KedgeError {
  const message = `job ${job.spec?.name} may not have secret ${name}: ${problem}`;
  return new KedgeError("SECRET_OUT_OF_SCOPE", message, { field: `jobs.${job.spec?.name}.secrets` });
}
