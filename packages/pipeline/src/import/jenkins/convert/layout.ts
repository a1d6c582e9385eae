import { nameOf } from "../../draft.ts";
import type { Agent, Branch, Input, Matrix, Stage, StageBase } from "../model/model.ts";
import { convertAgent, type Place } from "./agents.ts";
import { approvalOf, reportApproval } from "./approvals.ts";
import { duration } from "./arguments.ts";
import { readCall } from "./calls.ts";
import { convertWhen } from "./conditions.ts";
import type { JobDraft } from "./draft.ts";
import { convertEnvironment } from "./environment.ts";
import { Job } from "./job.ts";
import { matrixAxes } from "./matrix.ts";
import { addStagePost } from "./post.ts";
import { Names, type Report } from "./report.ts";
import { Scope } from "./scope.ts";
import { type StepContext, todoStep } from "./step-context.ts";
import { convertSteps } from "./steps.ts";
import {
  cellsOf,
  jobEnvironment,
  type Need,
  needsOf,
  type Progress,
  retry,
  type Surroundings,
} from "./surroundings.ts";
import { literal } from "./text.ts";
import { convertOptions } from "./triggers.ts";

/** Steps after which a stage begins another job: a job has at most 100, and steps of Jenkins may become several. */
const FULL = 60;

/** Turns stages into jobs: one job for stages in a row that share a workspace, unless something comes between. */
export class Layout {
  readonly jobs = new Map<string, Job>();
  readonly #report: Report;
  readonly #source: string;
  readonly #names = new Names();
  readonly #stashes: StepContext["stashes"] = new Map();
  #places = 0;

  constructor(source: string, report: Report) {
    this.#source = source;
    this.#report = report;
  }

  /** Lays out the stages of a pipeline. */
  run(
    stages: readonly Stage[],
    agent: Agent | undefined,
    around: Omit<Surroundings, "place" | "whens" | "fields">,
  ): void {
    const place = this.#place(agent ?? { type: "any", at: 0 }, around.scope);
    const surroundings = { ...around, place, whens: [], fields: {} };
    this.#sequence(stages, surroundings, { needs: [], open: undefined, workspaces: new Map() });
  }

  /** A job that comes after all others, for what a pipeline does at its end. */
  addJob(wanted: string, draft: JobDraft): Job {
    const job = new Job(this.#names.take(nameOf(wanted, "job", 60)), draft);
    this.jobs.set(job.name, job);
    return job;
  }

  /** The context that a job's steps are converted in. */
  context(job: Job, scope: Scope): StepContext {
    const waitsFor = (other: Job) => this.#before(job).has(other.name);
    const plain = { dirs: [], env: {}, exports: [], stashes: this.#stashes, waitsFor };
    return { source: this.#source, job, scope, report: this.#report, ...plain };
  }

  /** Names of all jobs that come before one. */
  #before(job: Job): ReadonlySet<string> {
    const found = new Set<string>();
    const queue = [job];
    for (const next of queue) {
      for (const need of next.draft.needs ?? []) {
        const other = this.jobs.get(typeof need === "string" ? need : need.job);
        if (other === undefined || found.has(other.name)) continue;
        found.add(other.name);
        queue.push(other);
      }
    }
    return found;
  }

  #place(agent: Agent, scope: Scope): Place {
    this.#places++;
    return convertAgent(agent, scope, { report: this.#report, key: `place-${this.#places}` });
  }

  #sequence(stages: readonly Stage[], around: Surroundings, progress: Progress): void {
    for (const stage of stages) this.#stage(stage, around, progress);
  }

  #stage(stage: Stage, around: Surroundings, progress: Progress): void {
    const inner = this.#inside(stage, around);
    if (stage.input !== undefined) this.#approval(stage.name, stage.input, { inner, progress });
    if (stage.tools !== undefined)
      this.#report.approximate(
        stage.tools.at,
        "tools",
        "not installed: use an image that has them, or nodes with a label for it",
      );
    const { matrix, parallel, stages, branches } = stage;
    if (matrix !== undefined) this.#matrix(stage, matrix, { inner, progress });
    else if (parallel !== undefined) this.#parallel(stage, parallel, { inner, progress });
    else if (stages !== undefined) this.#group(stage, stages, { inner, progress });
    else if (branches.length > 1) this.#branches(stage, { inner, progress });
    else this.#steps(stage, { inner, progress });
  }

  /** What holds within a stage. */
  #inside(stage: StageBase, around: Surroundings): Surroundings {
    const { env, scope, give } = convertEnvironment(stage.environment, around.scope, {
      report: this.#report,
      source: this.#source,
    });
    const own = convertOptions(stage.options, this.#report);
    const { agent } = stage;
    const reuses = agent?.fields?.some(
      ({ key, value }) => key === "reuseNode" && "kind" in value && value.value === true,
    );
    const place = agent === undefined ? around.place : this.#place(agent, scope);
    return {
      place: reuses === true ? { ...place, key: around.place.key } : place,
      whens: stage.when === undefined ? around.whens : [...around.whens, stage.when],
      scope,
      env: { ...around.env, ...env },
      give: [...around.give, give],
      options: {
        ...around.options,
        ...(own.timeoutSeconds === undefined ? {} : { timeoutSeconds: own.timeoutSeconds }),
        ...(own.attempts === undefined ? {} : { attempts: own.attempts }),
        skipCheckout: around.options.skipCheckout || own.skipCheckout,
      },
      fields: around.fields,
    };
  }

  #steps(stage: Stage, { inner, progress }: { readonly inner: Surroundings; readonly progress: Progress }): void {
    const [branch] = stage.branches;
    const only = branch?.steps.length === 1 ? branch.steps[0] : undefined;
    if (only?.name === "input") {
      const message =
        only.args.kind === "named" ? only.args.entries.find(({ key }) => key === "message")?.value : undefined;
      const input = { fields: message === undefined ? {} : { message }, parameters: [], at: only.at };
      this.#approval(stage.name, input, { inner, progress });
      return;
    }
    if (only?.name === "build" && this.#call(stage, { inner, progress })) return;
    const mustBeAlone = stage.when !== undefined || stage.options?.calls.some(({ name }) => name === "retry") === true;
    const isFull = (progress.open?.job.steps.length ?? 0) + (branch?.steps.length ?? 0) > FULL;
    const isSame = progress.open?.key === inner.place.key && !mustBeAlone && !isFull;
    const job = isSame && progress.open !== undefined ? progress.open.job : this.#open(stage, { inner, progress });
    const isFirst = job.steps.every(({ checkout, build }) => checkout !== undefined || build !== undefined);
    if (isSame)
      this.#report.exact(stage.at, `stage ${stage.name}`, `steps of the job ${job.name}, in the same workspace`);
    else this.#report.exact(stage.at, `stage ${stage.name}`, `the job ${job.name}`);
    for (const give of inner.give) give(job);
    const context = this.#stageContext(stage, { job, inner });
    const steps = branch === undefined ? [] : convertSteps(branch.steps, context);
    job.addSteps(literal(stage.name), steps);
    if (stage.post !== undefined) addStagePost(stage.post, { job, context, stage: stage.name, isFirst }, this.#report);
    progress.open = mustBeAlone || inner.whens.length > 0 ? undefined : { job, key: inner.place.key };
  }

  /** Values that hold for a stage only are those of its steps; the others are the job's. */
  #stageContext(stage: Stage, { job, inner }: { readonly job: Job; readonly inner: Surroundings }): StepContext {
    const env = Object.fromEntries(
      Object.entries(inner.env).filter(([name, value]) => job.draft.env?.[name] !== value),
    );
    const image = inner.place.image ?? (inner.place.build === undefined ? undefined : agentImage(job));
    const own = convertOptions(stage.options, this.#report).timeoutSeconds;
    const differs = image !== undefined && image !== job.draft.image;
    return {
      ...this.context(job, inner.scope),
      env,
      ...(differs ? { image } : {}),
      ...(own === undefined ? {} : { timeout: duration(own) }),
    };
  }

  #open(
    stage: { readonly name: string; readonly at: number },
    { inner, progress }: { readonly inner: Surroundings; readonly progress: Progress },
  ): Job {
    const { place, options, fields } = inner;
    const job = this.addJob(stage.name, {
      title: literal(stage.name),
      ...fields,
      ...needsOf(progress),
      ...(place.require.length === 0 ? {} : { require: [...place.require] }),
      ...(place.image === undefined ? {} : { image: place.image }),
      ...(place.alwaysPull === true ? { pull: "always" as const } : {}),
      ...(options.timeoutSeconds === undefined ? {} : { timeout: duration(options.timeoutSeconds) }),
      ...(options.attempts === undefined ? {} : { retry: retry(options.attempts) }),
      ...(place.cache.length === 0 ? {} : { cache: place.cache.map((one) => ({ ...one })) }),
      ...jobEnvironment({ ...place.env, ...fields.env, ...inner.env }),
    });
    if (job.draft.title === job.name) delete job.draft.title;
    const isConditional = inner.whens.length > 0 && this.#addWhen(job, inner);
    this.#fill(job, stage, { inner, progress });
    const { key } = place;
    const held = progress.workspaces.get(key) ?? [];
    progress.workspaces.set(key, isConditional ? [...held, job.name] : [job.name]);
    progress.needs = [{ job: job.name, optional: isConditional }];
    return job;
  }

  /** A condition that cannot be told fails the job: it must not run, nor be left out, by mistake. */
  #addWhen(job: Job, { whens, scope }: Surroundings): boolean {
    const converted = convertWhen(whens, scope);
    if ("when" in converted) {
      job.draft.when = converted.when;
      for (const { at } of whens) this.#report.exact(at, "when", `when of the job ${job.name}`);
      return true;
    }
    this.#report.unsupported(converted.at, "when", `${converted.reason}: a step that fails says what to port`);
    job.addSteps("when", [todoStep("the condition", { at: converted.at }, this.context(job, scope))]);
    return false;
  }

  /** What the workspace begins with: the run's source, or what earlier jobs left in it. */
  #fill(
    job: Job,
    stage: { readonly at: number },
    { inner, progress }: { readonly inner: Surroundings; readonly progress: Progress },
  ): void {
    const { place, options } = inner;
    const held = progress.workspaces.get(place.key) ?? [];
    for (const name of held) {
      const artifact = this.jobs.get(name)?.addArtifact({ name: "workspace", paths: ["**"] });
      if (artifact !== undefined) job.addInput(name, artifact);
    }
    if (held.length > 0) {
      job.hasCheckout = true;
      const message = `a job has a workspace of its own: ${job.name} begins with the files that ${held.join(" and ")} left, as an artifact`;
      this.#report.approximate(stage.at, "workspace", message);
    } else if (!place.isNone && !options.skipCheckout) {
      job.hasCheckout = true;
      job.addSteps("checkout", [{ checkout: {} }]);
    }
    if (place.login !== undefined) job.addLogin(place.login.host, place.login.credentials);
    if (place.build !== undefined) job.addSteps("image", [{ build: { ...place.build, tags: [agentImage(job)] } }]);
  }

  #approval(
    stage: string,
    input: Input,
    { inner, progress }: { readonly inner: Surroundings; readonly progress: Progress },
  ): void {
    const job = this.addJob(`${stage}-approval`, {
      ...cellsOf(inner),
      ...needsOf(progress),
      approval: approvalOf(stage, input, inner.scope),
    });
    const isConditional = inner.whens.length > 0 && this.#addWhen(job, inner);
    reportApproval(input, job.name, this.#report);
    progress.needs = [{ job: job.name, optional: isConditional }];
    progress.open = undefined;
  }

  /** A stage that only starts another pipeline. */
  #call(stage: Stage, { inner, progress }: { readonly inner: Surroundings; readonly progress: Progress }): boolean {
    const [step] = stage.branches[0]?.steps ?? [];
    const call = step === undefined ? undefined : readCall(step, inner.scope);
    if (call === undefined || step === undefined) return false;
    const job = this.addJob(stage.name, { title: literal(stage.name), ...cellsOf(inner), ...needsOf(progress), call });
    const isConditional = inner.whens.length > 0 && this.#addWhen(job, inner);
    this.#report.exact(step.at, "build", `the job ${job.name} calls the pipeline ${call.pipeline}`);
    progress.needs = [{ job: job.name, optional: isConditional }];
    progress.open = undefined;
    return true;
  }

  #group(
    stage: Stage,
    stages: readonly Stage[],
    { inner, progress }: { readonly inner: Surroundings; readonly progress: Progress },
  ): void {
    this.#report.exact(stage.at, `stage ${stage.name}`, "its stages, one after the other");
    this.#sequence(stages, inner, progress);
    this.#groupPost(stage, progress, inner);
  }

  /** What a group does at its end is done by a job after it. */
  #groupPost(
    { post, name }: { readonly post?: Stage["post"]; readonly name: string },
    progress: Progress,
    inner: Surroundings,
  ): void {
    if (post === undefined) return;
    const { needs } = progress;
    for (const condition of post.conditions) {
      const runIf = { always: "always", cleanup: "always", failure: "failure", unsuccessful: "failure" }[
        condition.condition
      ];
      if (runIf === undefined && condition.condition !== "success") {
        this.#report.unsupported(condition.at, `post { ${condition.condition} }`, "Kedge does not tell this outcome");
        continue;
      }
      const draft = {
        ...cellsOf(inner),
        needs: needs.map(({ job }) => ({ job, optional: true as const })),
        ...(runIf === undefined ? {} : { "run-if": runIf as "always" }),
      };
      const job = this.addJob(`${name}-${condition.condition}`, draft);
      this.#report.approximate(
        condition.at,
        `post { ${condition.condition} }`,
        `the job ${job.name}, in a workspace of its own`,
      );
      job.addSteps(condition.condition, convertSteps(condition.branch.steps, this.context(job, inner.scope)));
    }
  }

  #parallel(
    stage: Stage,
    parallel: readonly Stage[],
    { inner, progress }: { readonly inner: Surroundings; readonly progress: Progress },
  ): void {
    this.#report.exact(stage.at, `stage ${stage.name}`, "jobs beside each other");
    if (stage.failFast === true || inner.options.failFast)
      this.#report.approximate(stage.at, "failFast", "the other jobs go on to their end");
    this.#beside(
      parallel.map((one) => (own) => this.#stage(one, inner, own)),
      progress,
    );
    this.#groupPost(stage, progress, inner);
  }

  #branches(stage: Stage, { inner, progress }: { readonly inner: Surroundings; readonly progress: Progress }): void {
    this.#report.exact(stage.at, `stage ${stage.name}`, "jobs beside each other");
    const one = (branch: Branch): Stage => ({
      name: branch.name,
      at: branch.at,
      branches: [{ ...branch, name: "default" }],
    });
    this.#beside(
      stage.branches.map((branch) => (own) => this.#stage(one(branch), inner, own)),
      progress,
    );
    this.#groupPost(stage, progress, inner);
  }

  /** Lays out several sequences from the same point, and joins them. */
  #beside(all: readonly ((progress: Progress) => void)[], progress: Progress): void {
    const base = new Map(progress.workspaces);
    const needs: Need[] = [];
    for (const lay of all) {
      const own: Progress = { needs: progress.needs, open: undefined, workspaces: new Map(base) };
      lay(own);
      needs.push(...own.needs);
      for (const [key, held] of own.workspaces) {
        const before = base.get(key) ?? [];
        const added = held.filter((name) => !before.includes(name));
        progress.workspaces.set(key, [...(progress.workspaces.get(key) ?? before), ...added]);
      }
    }
    progress.needs =
      needs.length === 0 ? progress.needs : needs.filter(({ job }, i) => needs.findIndex((it) => it.job === job) === i);
    progress.open = undefined;
  }

  #matrix(
    stage: Stage,
    matrix: Matrix,
    { inner, progress }: { readonly inner: Surroundings; readonly progress: Progress },
  ): void {
    const { axes, values } = matrixAxes(matrix, this.#report);
    const scope = new Scope(inner.scope, values);
    const cell = this.#inside(matrix, { ...inner, scope });
    this.#report.exact(matrix.at, "matrix", "a job for each combination");
    const fields: JobDraft = {
      ...inner.fields,
      matrix: axes,
      ...(stage.failFast === true || inner.options.failFast ? { "fail-fast": true } : {}),
      env: Object.fromEntries(values),
    };
    if (matrix.input !== undefined) this.#approval(stage.name, matrix.input, { inner, progress });
    const own: Progress = { needs: progress.needs, open: undefined, workspaces: new Map(progress.workspaces) };
    this.#sequence(matrix.stages ?? [], { ...cell, fields }, own);
    this.#groupPost({ ...(matrix.post === undefined ? {} : { post: matrix.post }), name: stage.name }, own, inner);
    progress.needs = own.needs;
    progress.open = undefined;
  }
}

/** The name of the image that a job builds for its own steps. */
function agentImage({ name }: Job): string {
  return `kedge-import/${name}:\${{ run.id }}`;
}
