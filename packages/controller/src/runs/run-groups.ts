import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { isRunEnded } from "@kedge/domain";
import { OnNewRun, type Run, RunState } from "@kedge/proto";
import type { Stores } from "../stores.ts";
import { releaseRun } from "./beginning.ts";
import { type Entrant, type Entrants, type Turn, turnOf } from "./run-turns.ts";

const DISPLACES: ReadonlySet<OnNewRun> = new Set([OnNewRun.CANCEL_PENDING, OnNewRun.CANCEL_RUNNING]);

/**
 * Which runs of each concurrency group may go on. Follows the documents, for as long as the store lives; what is being
 * written counts as written.
 */
export class RunGroups implements Entrants {
  readonly #runs: Stores["runs"];
  readonly #wake: (runId: string) => void;
  readonly #entrants = new Map<string, Entrant>();
  readonly #groups = new Map<string, Map<string, Entrant>>();
  readonly #called = new Map<string, Map<string, Entrant>>();
  /** Runs whose turn it is, until their documents say so. */
  readonly #admitting = new Set<string>();

  constructor(runs: Stores["runs"], wake: (runId: string) => void) {
    this.#runs = runs;
    this.#wake = wake;
    runs.onChange((runId) => this.#follow(runId));
  }

  /** Tells whether a run's group has decided something that its document does not say yet. */
  hasNews(run: Run): boolean {
    const turn = this.#turn(run);
    if (turn.kind === "gives-way") return !run.cancelRequested;
    return turn.kind === "goes" && run.state === RunState.QUEUED;
  }

  /**
   * Takes what the run's group makes of it into its next document, in place. A run that may begin has its turn from now
   * on; `settle` once that is stored, or could not be.
   */
  apply(run: Run, at: Timestamp): void {
    const turn = this.#turn(run);
    if (turn.kind === "gives-way" && !run.cancelRequested) {
      run.cancelRequested = true;
      run.reason = `gave way to run ${turn.to} of ${run.concurrency?.group}`;
    } else if (turn.kind === "goes" && run.state === RunState.QUEUED && !run.cancelRequested) {
      releaseRun(run, at);
      this.#admit(run.id);
    }
  }

  /** The document of a run that was admitted is stored, or could not be. */
  settle(runId: string): void {
    if (!this.#admitting.delete(runId)) return;
    const group = this.#entrants.get(runId)?.group ?? "";
    this.#follow(runId);
    this.#wakeHead(group);
  }

  #turn(run: Run): Turn {
    const entrant = this.#entrants.get(run.id);
    return entrant === undefined ? { kind: "waits" } : turnOf(entrant, this);
  }

  #admit(runId: string): void {
    const entrant = this.#entrants.get(runId);
    if (entrant === undefined) return;
    this.#admitting.add(runId);
    this.#put({ ...entrant, standing: "active" });
  }

  get(id: string): Entrant | undefined {
    return this.#entrants.get(id);
  }

  inGroup(group: string): Iterable<Entrant> {
    return this.#groups.get(group)?.values() ?? [];
  }

  awaited(id: string): Iterable<Entrant> {
    return [...(this.#called.get(id)?.values() ?? [])].filter((entrant) => this.#isAwaited(entrant.id));
  }

  #follow(runId: string): void {
    if (this.#admitting.has(runId)) return;
    const before = this.#entrants.get(runId);
    const after = this.#entrantOf(this.#runs.get(runId)?.value);
    if (before?.standing === after?.standing && before?.group === after?.group) return;
    if (before !== undefined) this.#remove(before);
    if (after !== undefined) this.#put(after);
    for (const group of new Set([before?.group ?? "", after?.group ?? ""])) this.#wakeGroup(group, before, after);
  }

  /** Wakes who may go on now, and those who have to give way. */
  #wakeGroup(group: string, before: Entrant | undefined, after: Entrant | undefined): void {
    if (group === "") return;
    this.#wakeHead(group);
    const isArrival = after?.standing === "queued" && before?.standing !== "active";
    if (!isArrival || after.group !== group || !DISPLACES.has(after.onNew)) return;
    for (const { id } of this.inGroup(group)) if (id < after.id) this.#wake(id);
  }

  #wakeHead(group: string): void {
    let head = "";
    for (const { id, standing } of this.inGroup(group)) {
      if (standing === "queued" && (head === "" || id < head)) head = id;
    }
    if (head !== "") this.#wake(head);
  }

  #entrantOf(run: Run | undefined): Entrant | undefined {
    if (run === undefined || isRunEnded(run.state)) return undefined;
    const { concurrency, calledBy, id } = run;
    if (concurrency === undefined && calledBy === "") return undefined;
    return {
      id,
      group: concurrency?.group ?? "",
      limit: concurrency?.limit || 1,
      onNew: concurrency?.onNew ?? OnNewRun.QUEUE,
      standing: standingOf(run.state),
      calledBy: calledBy.split("/", 1)[0] ?? "",
    };
  }

  /** Looked up when it is asked for: at a start a run may be read before its caller. */
  #isAwaited(id: string): boolean {
    const [runId = "", name = ""] = this.#runs.get(id)?.value.calledBy.split("/") ?? [];
    const work = this.#runs.get(runId)?.value.jobs.find(({ spec }) => spec?.name === name)?.spec?.work;
    return work?.case === "call" && !work.value.detach;
  }

  #put(entrant: Entrant): void {
    this.#entrants.set(entrant.id, entrant);
    if (entrant.group !== "") put(this.#groups, entrant.group, entrant);
    if (entrant.calledBy !== "") put(this.#called, entrant.calledBy, entrant);
  }

  #remove(entrant: Entrant): void {
    this.#entrants.delete(entrant.id);
    remove(this.#groups, entrant.group, entrant.id);
    remove(this.#called, entrant.calledBy, entrant.id);
  }
}

function standingOf(state: RunState): Entrant["standing"] {
  if (state === RunState.BLOCKED) return "blocked";
  return state === RunState.QUEUED ? "queued" : "active";
}

function put(index: Map<string, Map<string, Entrant>>, key: string, entrant: Entrant): void {
  const known = index.get(key);
  if (known === undefined) index.set(key, new Map([[entrant.id, entrant]]));
  else known.set(entrant.id, entrant);
}

function remove(index: Map<string, Map<string, Entrant>>, key: string, id: string): void {
  const known = index.get(key);
  known?.delete(id);
  if (known?.size === 0) index.delete(key);
}
