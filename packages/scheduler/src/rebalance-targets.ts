import { labelOf } from "./label-constraints.ts";
import type { NodeEntry } from "./node-entry.ts";
import { findObstacle } from "./obstacle.ts";
import type { Piece, RebalanceBoard, Step } from "./rebalance-board.ts";
import { roomWith } from "./rebalance-bundles.ts";
import type { SpreadLimits } from "./spread.ts";

/** For one piece so many nodes are looked at, and so many of those that can take it compared. */
const LOOKED_AT = 256;
const COMPARED = 8;

/** A node with what it has free, in its unit. */
interface Choice {
  readonly entry: NodeEntry;
  readonly free: number;
}

/** Where pieces may go: nodes that take work, fullest first. */
export class RebalanceTargets {
  readonly #board: RebalanceBoard;
  readonly #all: readonly NodeEntry[];
  #gpu: readonly Choice[] = [];
  #cpu: readonly Choice[] = [];

  constructor(board: RebalanceBoard) {
    this.#board = board;
    this.#all = [...board.entries.values()].filter((entry) => board.tally.counts(entry.id));
    this.sort();
  }

  /** Puts the nodes in order of what they have free now. */
  sort(): void {
    const choices = this.#all.map((entry) => ({ entry, free: this.#board.tally.freeOn(entry.id) }));
    choices.sort((a, b) => a.free - b.free || (a.entry.id < b.entry.id ? -1 : 1));
    this.#gpu = choices.filter(({ entry }) => entry.devices.length > 0);
    this.#cpu = choices.filter(({ entry }) => entry.devices.length === 0);
  }

  /**
   * Where a piece may go while it still holds its own, best first: the largest drop of the measure, then the fuller node.
   * Not an empty node, nor one of `excluded`, nor one that would make copies more uneven.
   */
  find(piece: Piece, excluded: ReadonlySet<string>): readonly Step[] {
    const { compiled, replica } = piece;
    const limits = this.#board.cluster.spreadOf(compiled);
    const found: { readonly step: Step; readonly drop: number }[] = [];
    for (const to of this.#candidates(piece)) {
      if (to.reservations === 0 || to.id === replica.nodeId || excluded.has(to.id)) continue;
      if (findObstacle(to, compiled, limits) !== undefined || !this.#isAsEven(piece, to, limits)) continue;
      const claims = this.#board.devicesFor(piece, to);
      const drop = this.#board.tally.dropFor(to, roomWith(to, { ...piece, claims }));
      found.push({ step: { piece, to, gpuIndices: claims.map(({ index }) => index) }, drop });
      if (found.length === COMPARED) break;
    }
    return found.sort((a, b) => b.drop - a.drop).map(({ step }) => step);
  }

  /** From the fullest node with enough free; work without GPU goes to nodes with GPU only if it is on one already. */
  #candidates({ compiled, replica, claims }: Piece): readonly NodeEntry[] {
    if (compiled.gpu !== undefined) {
      const milli = claims.reduce((sum, { shareMilli }) => sum + shareMilli, 0);
      return this.#from(this.#gpu, milli, LOOKED_AT);
    }
    const cpu = this.#from(this.#cpu, replica.demand.resources?.cpuMilli ?? 0, LOOKED_AT);
    const isOnGpuNode = (this.#board.entries.get(replica.nodeId)?.devices.length ?? 0) > 0;
    return isOnGpuNode ? [...cpu, ...this.#from(this.#gpu, 0, LOOKED_AT - cpu.length)] : cpu;
  }

  #from(sorted: readonly Choice[], free: number, most: number): readonly NodeEntry[] {
    let low = 0;
    for (let high = sorted.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((sorted[middle]?.free ?? 0) < free) low = middle + 1;
      else high = middle;
    }
    return sorted.slice(low, low + most).map(({ entry }) => entry);
  }

  /** Copies never become more uneven: over nodes, and over the values of the label they are spread over. */
  #isAsEven({ compiled, replica }: Piece, to: NodeEntry, limits: SpreadLimits | undefined): boolean {
    const { spreadKey } = compiled.demand;
    const from = this.#board.entries.get(replica.nodeId);
    if (spreadKey === undefined || from === undefined) return true;
    if (to.copies.of(spreadKey) >= from.copies.of(spreadKey)) return false;
    if (limits === undefined) return true;
    const [source, target] = [labelOf(from.node.labels, limits.label), labelOf(to.node.labels, limits.label)];
    return source === target || limits.copies(target) < limits.copies(source);
  }
}
