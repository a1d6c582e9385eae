import { isJobEnded } from "@kedge/domain";
import { type Job, JobState, type Run } from "@kedge/proto";

interface Cells {
  /** Cells that have begun and not ended. */
  running: number;
  /** The first that failed for good, where it may not. */
  failed: Job | undefined;
}

/** The matrices of a run while it is moved on: how many cells run, and which failed. */
export class Matrices {
  readonly #cells = new Map<string, Cells>();

  constructor(run: Run) {
    for (const job of run.jobs) this.note(job);
  }

  /** Counts a cell; those that wait count for nothing. Call once more when it begins. */
  note(job: Job): void {
    const name = job.spec?.matrixJob ?? "";
    if (name === "" || job.state === JobState.WAITING) return;
    const cells = this.#cells.get(name) ?? { running: 0, failed: undefined };
    this.#cells.set(name, cells);
    if (!isJobEnded(job.state)) cells.running++;
    if (job.state === JobState.FAILED && !job.spec?.allowFailure) cells.failed ??= job;
  }

  /** Tells whether one more cell of the job's matrix may run; always, for jobs of none. */
  hasPlace({ spec }: Job): boolean {
    const running = this.#cells.get(spec?.matrixJob ?? "")?.running ?? 0;
    return !spec?.maxParallel || running < spec.maxParallel;
  }

  /** The cell whose failure ends this one: its matrix is fail-fast. */
  failedSibling({ spec, state }: Job): Job | undefined {
    if (!spec?.failFast || isJobEnded(state)) return undefined;
    return this.#cells.get(spec.matrixJob)?.failed;
  }
}
