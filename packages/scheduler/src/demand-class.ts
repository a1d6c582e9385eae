import type { CompiledDemand } from "./compiled-demand.ts";
import type { NodeEntry } from "./node-entry.ts";
import { findObstacle } from "./obstacle.ts";
import { scoreNode } from "./score.ts";
import { Tournament, UNFIT } from "./tournament.ts";

/** The nodes of a cluster by slot, and which of them changed. */
export interface ChangingNodes {
  /** Undefined where a slot is free. */
  at(slot: number): NodeEntry | undefined;
  readonly slots: number;
  /** Changes so far; grows by one with each. */
  readonly changes: number;
  /** Slots changed since, each once; undefined when that is too long ago to tell. */
  changedSince(change: number): Iterable<number> | undefined;
}

/**
 * Demands that ask the same of a node, and how good each node is for them. Brought up to date when it is asked: only nodes
 * that changed since are looked at again, so its cost does not grow with the cluster.
 */
export class DemandClass {
  readonly #compiled: CompiledDemand;
  readonly #nodes: ChangingNodes;
  #tournament: Tournament;
  #seen = -1;

  constructor(compiled: CompiledDemand, nodes: ChangingNodes) {
    this.#compiled = compiled;
    this.#nodes = nodes;
    this.#tournament = this.#newTournament();
  }

  /** The best node that fits, with its score. */
  best(): Candidate | undefined {
    this.#catchUp();
    const slot = this.#tournament.best;
    const entry = slot < 0 ? undefined : this.#nodes.at(slot);
    return entry === undefined ? undefined : { entry, score: this.#tournament.scoreOf(slot) };
  }

  #catchUp(): void {
    const { changes, slots } = this.#nodes;
    if (this.#seen === changes) return;
    const changed = this.#seen < 0 ? undefined : this.#nodes.changedSince(this.#seen);
    if (changed === undefined || slots > this.#tournament.capacity) this.#lookAtAll();
    else for (const slot of changed) this.#tournament.set(slot, this.#score(slot));
    this.#seen = changes;
  }

  #lookAtAll(): void {
    if (this.#nodes.slots > this.#tournament.capacity) this.#tournament = this.#newTournament();
    this.#tournament.fill((slot) => this.#score(slot), range(this.#nodes.slots));
  }

  #newTournament(): Tournament {
    const nodes = this.#nodes;
    return new Tournament(nodes.slots, (a, b) => isBefore(nodes.at(a), nodes.at(b)));
  }

  #score(slot: number): number {
    const entry = this.#nodes.at(slot);
    if (entry === undefined || findObstacle(entry, this.#compiled) !== undefined) return UNFIT;
    return scoreNode(entry, this.#compiled);
  }
}

/** A node that fits, with its score. */
export interface Candidate {
  readonly entry: NodeEntry;
  readonly score: number;
}

/** Orders candidates best first: by score, then by rank, then by id, so that ties fall the same way always. */
export function isBetter(a: Candidate, b: Candidate): boolean {
  return a.score !== b.score ? a.score > b.score : isBefore(a.entry, b.entry);
}

function isBefore(a: NodeEntry | undefined, b: NodeEntry | undefined): boolean {
  if (a === undefined || b === undefined) return a !== undefined;
  return a.rank !== b.rank ? a.rank < b.rank : a.id < b.id;
}

function* range(end: number): Iterable<number> {
  for (let i = 0; i < end; i++) yield i;
}
