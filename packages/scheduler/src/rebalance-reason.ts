import type { NodeEntry } from "./node-entry.ts";
import type { Piece, RebalanceBoard, Step } from "./rebalance-board.ts";
import { roomWithout } from "./rebalance-bundles.ts";
import { roomOf } from "./rebalance-measure.ts";
import { describeShape, holdsShape } from "./rebalance-shapes.ts";

/** Why a bundle moves: one reason for each of its moves. Looked up before it moves. */
export function reasonsFor(board: RebalanceBoard, steps: readonly Step[], freesDevices: boolean): readonly string[] {
  const pieces = steps.map(({ piece }) => piece);
  const entry = board.entries.get(pieces[0]?.replica.nodeId ?? "");
  if (entry === undefined) return [];
  const targets = [...new Set(steps.map(({ to }) => to.id))];
  const { one, many, rest } = gainOf(board, { entry, pieces, targets, freesDevices });
  if (steps.length === 1) return [`${one} ${rest}`];
  return steps.map((_, i) => `${i + 1} of ${steps.length} moves that ${many} ${rest}`);
}

interface Move {
  readonly entry: NodeEntry;
  readonly pieces: readonly Piece[];
  readonly targets: readonly string[];
  readonly freesDevices: boolean;
}

/** A gain in words: the verb for one move and for several, and the rest. */
interface Gain {
  readonly one: string;
  readonly many: string;
  readonly rest: string;
}

function gainOf(board: RebalanceBoard, { entry, pieces, targets, freesDevices }: Move): Gain {
  const nodeId = entry.id;
  if (pieces.length === entry.reservations) {
    const { length } = entry.devices;
    const devices = length === 0 ? "" : ` with ${length} ${length === 1 ? "GPU" : "GPUs"}`;
    return { one: "empties", many: "empty", rest: `${nodeId}${devices}` };
  }
  const [before, after] = [roomOf(entry), roomWithout(entry, pieces)];
  const [shape] = board.shapes.filter((it) => holdsShape(after, it) && !holdsShape(before, it));
  const freed = after.devices.filter((state, i) => isUnclaimed(state) && !isUnclaimed(before.devices[i] ?? state));
  if (freesDevices && freed.length > 0) {
    const names = freed.map(({ device }) => `gpu-${device.index}`).join(", ");
    const fits = shape === undefined ? "" : `, where ${describeShape(shape)} will fit`;
    return { one: "frees", many: "free", rest: `${names} of ${nodeId} entirely${fits}` };
  }
  if (shape !== undefined) return { one: "makes", many: "make", rest: `room for ${describeShape(shape)} on ${nodeId}` };
  return { one: "fills", many: "fill", rest: `room on ${targets.join(", ")} that most typical demands cannot use` };
}

const isUnclaimed = (state: { readonly usedMilli: number; readonly usedMemoryMib: number }): boolean =>
  state.usedMilli === 0 && state.usedMemoryMib === 0;
