import { applyClaims } from "./gpu.ts";
import type { NodeEntry } from "./node-entry.ts";
import type { Piece, RebalanceBoard } from "./rebalance-board.ts";
import { roomOf } from "./rebalance-measure.ts";
import type { Room } from "./rebalance-shapes.ts";

/** Pieces of one node that are worth moving together, e.g. all that keep a device from being free. */
export interface Bundle {
  readonly nodeId: string;
  readonly pieces: readonly Piece[];
  /**
   * The most that moving it can gain, per move: what leaving is worth, and that all the room it takes elsewhere was of no
   * use to anybody.
   */
  readonly promise: number;
}

/**
 * The bundles of a node, at most `most` pieces each: every piece alone; the pieces on the device with the fewest, on the
 * two devices with the fewest, and so on; likewise the pieces without GPU, largest CPU first; and all on the node.
 * Their number is linear in what is on the node.
 */
export function bundlesOf(board: RebalanceBoard, nodeId: string, most: number): Bundle[] {
  const entry = board.entries.get(nodeId);
  const pieces = board.piecesOn(nodeId);
  if (entry === undefined || pieces.length === 0) return [];
  const all = pieces.length === entry.reservations ? [pieces] : [];
  const sets = [...pieces.map((piece) => [piece]), ...deviceSets(entry, pieces), ...cpuSets(pieces), ...all];
  const distinct = new Map(sets.map((set) => [set.map(({ replica }) => replica.key).join("\n"), set]));
  return [...distinct.values()]
    .filter((set) => set.length > 0 && set.length <= most)
    .map((set) => ({ nodeId, pieces: set, promise: promiseOf(board, entry, set) }))
    .filter(({ promise }) => promise > 0);
}

/** The room of a node once pieces have left it. */
export function roomWithout(entry: NodeEntry, pieces: readonly Piece[]): Room {
  return changedRoom(entry, pieces, -1);
}

/** The room of a node once a piece has come, on these devices. */
export function roomWith(entry: NodeEntry, piece: Piece): Room {
  return changedRoom(entry, [piece], 1);
}

function changedRoom(entry: NodeEntry, pieces: readonly Piece[], sign: 1 | -1): Room {
  const free: Record<string, number> = { ...roomOf(entry).free };
  const devices = entry.devices.map((state) => ({ ...state }));
  for (const { compiled, claims } of pieces) {
    for (const [dimension, amount] of compiled.amounts) free[dimension] = (free[dimension] ?? 0) - sign * amount;
    applyClaims(devices, claims, sign);
  }
  return { free, devices };
}

function promiseOf(board: RebalanceBoard, entry: NodeEntry, pieces: readonly Piece[]): number {
  const { tally } = board;
  const left = tally.dropFor(entry, roomWithout(entry, pieces));
  const filled = pieces.reduce((sum, piece) => sum + tally.shareOf(roomTaken(piece)), 0);
  const emptied = pieces.length === entry.reservations ? tally.emptyNodeShare : 0;
  return (left + filled + emptied) / pieces.length;
}

/** The room that counts of what a piece takes where it goes. */
function roomTaken({ compiled, claims, replica }: Piece): { gpuMilli?: number; cpuMilli?: number } {
  if (compiled.gpu === undefined) return { cpuMilli: replica.demand.resources?.cpuMilli ?? 0 };
  return { gpuMilli: claims.reduce((sum, { shareMilli }) => sum + shareMilli, 0) };
}

function deviceSets(entry: NodeEntry, pieces: readonly Piece[]): Piece[][] {
  const onDevice = entry.devices.map(({ device, usedMilli, usedMemoryMib }) => {
    const here = pieces.filter(({ claims }) => claims.some(({ index }) => index === device.index));
    const claims = here.flatMap((piece) => piece.claims.filter(({ index }) => index === device.index));
    const isAll =
      claims.reduce((sum, { shareMilli }) => sum + shareMilli, 0) === usedMilli &&
      claims.reduce((sum, { memoryMib }) => sum + memoryMib, 0) === usedMemoryMib;
    return isAll ? here : [];
  });
  const clearable = onDevice.filter((here) => here.length > 0).sort((a, b) => a.length - b.length);
  return prefixes(clearable).map((sets) => [...new Set(sets.flat())]);
}

function cpuSets(pieces: readonly Piece[]): Piece[][] {
  const cpu = ({ replica }: Piece): number => replica.demand.resources?.cpuMilli ?? 0;
  return prefixes(pieces.filter(({ compiled }) => compiled.gpu === undefined).sort((a, b) => cpu(b) - cpu(a)));
}

function prefixes<T>(items: readonly T[]): T[][] {
  return items.map((_, i) => items.slice(0, i + 1));
}
