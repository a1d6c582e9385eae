import { create } from "@bufbuild/protobuf";
import type { Clock } from "@kedge/kernel";
import { type JobSpec, type PlacementExplanation, PlacementExplanationSchema } from "@kedge/proto";
import { explain, place } from "@kedge/scheduler";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import { demandText, type JobOwner, jobDemand } from "./job-demand.ts";

/** Why something waits is told anew after this time. */
const FRESH_MS = 5_000;
const FULL_FRESH_MS = 1_000;
/** Most different demands remembered; beyond, the oldest go. */
const MAX_DEMANDS = 500;

interface Known {
  readonly version: number;
  readonly atMs: number;
  /** Without what is said of single nodes. */
  readonly reason: PlacementExplanation;
  readonly full: PlacementExplanation;
}

/**
 * Why demands find no room, once for all that ask the same: looking at every node for each of thousands of jobs in a
 * backlog would take longer than placing them. The account is brief; `explain` gives the full one.
 */
export class Reasons {
  readonly #book: CapacityBook;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  /** The book's version for which each demand was found to be possible. */
  readonly #possibleAt = new Map<string, number>();
  readonly #texts = new WeakMap<JobSpec, string>();

  constructor(book: CapacityBook, clock: Clock) {
    this.#book = book;
    this.#clock = clock;
  }

  /** The same for jobs that ask the same. */
  textOf(spec: JobSpec): string {
    const known = this.#texts.get(spec);
    if (known !== undefined) return known;
    const text = demandText(spec);
    this.#texts.set(spec, text);
    return text;
  }

  /** Why a job finds no room, as of at most five seconds ago; whether it is impossible, as of now. */
  of(spec: JobSpec, owner: JobOwner): PlacementExplanation {
    return this.#look(spec, owner, FRESH_MS).reason;
  }

  /** The full account that `of` gives the brief one of, as of at most a second ago. Not to be changed. */
  full(spec: JobSpec, owner: JobOwner): PlacementExplanation {
    return this.#look(spec, owner, FULL_FRESH_MS).full;
  }

  #look(spec: JobSpec, owner: JobOwner, freshMs: number): Known {
    const key = this.textOf(spec);
    const { version } = this.#book;
    const nowMs = this.#clock.monotonic();
    const before = this.#known.get(key);
    if (before !== undefined && before.version === version && nowMs - before.atMs < freshMs) return before;
    const full = explain(this.#book.cluster, jobDemand("probe", spec, owner));
    const { impossible, summary, chosenNodeId } = full;
    const text = chosenNodeId === "" ? summary : "waits for its turn";
    const reason = create(PlacementExplanationSchema, { impossible, summary: text });
    const known = { version, atMs: nowMs, reason, full };
    this.#remember(key, known);
    return known;
  }

  /** Why no node could ever take the job; undefined while one could, or while that cannot be said. */
  impossible(spec: JobSpec, owner: JobOwner): PlacementExplanation | undefined {
    if (!this.#book.knowsEveryNode()) return undefined;
    const text = this.textOf(spec);
    if (this.#possibleAt.get(text) === this.#book.version) return undefined;
    if (place(this.#book.cluster, jobDemand("probe", spec, owner)).kind === "unplaced") {
      const reason = this.of(spec, owner);
      if (reason.impossible) return reason;
    }
    if (this.#possibleAt.size > MAX_DEMANDS) this.#possibleAt.clear();
    this.#possibleAt.set(text, this.#book.version);
    return undefined;
  }

  #remember(text: string, known: Known): void {
    this.#known.delete(text);
    this.#known.set(text, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_DEMANDS && oldest !== undefined) this.#known.delete(oldest);
  }
}
