import { type Alias, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node, type Pair } from "yaml";
import type { Path, Positions } from "./finding.ts";

interface Place {
  readonly key: number;
  readonly node: unknown;
}

/** The way from a path to its place in the text, through aliases and merged mappings. */
export class YamlPlaces implements Positions {
  readonly #lines: LineCounter;
  #root: Node | null = null;
  #targets: ReadonlyMap<Alias, Node> = new Map();

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  /** Says what was parsed; before, every path is at the start of the file. */
  setRoot(root: Node | null, targets: ReadonlyMap<Alias, Node>): void {
    this.#root = root;
    this.#targets = targets;
  }

  lineAndColumn(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  /** The offset of a key or value; of the nearest enclosing key when the path does not exist. */
  locate(path: Path, atKey: boolean): number {
    let place: Place = { key: startOf(this.#root) ?? 0, node: this.#root };
    for (const part of path) {
      const next = this.#step(this.#resolve(place.node), part);
      if (next === undefined) return place.key;
      place = next;
    }
    return atKey ? place.key : (startOf(place.node) ?? place.key);
  }

  #resolve(node: unknown): unknown {
    return isAlias(node) ? this.#targets.get(node) : node;
  }

  #step(node: unknown, part: string | number): Place | undefined {
    if (isSeq(node) && typeof part === "number") {
      const item = node.items[part];
      return item === undefined ? undefined : { key: startOf(item) ?? 0, node: item };
    }
    return isMap(node) ? this.#stepInMap(node.items, String(part)) : undefined;
  }

  #stepInMap(pairs: readonly Pair[], part: string): Place | undefined {
    const own = pairs.find((pair) => isScalar(pair.key) && String(pair.key.value) === part);
    if (own !== undefined) return { key: startOf(own.key) ?? 0, node: own.value };
    for (const pair of pairs) {
      if (!isScalar(pair.key) || pair.key.value !== "<<") continue;
      const merged = this.#resolve(pair.value);
      for (const source of isSeq(merged) ? merged.items : [merged]) {
        const found = this.#step(this.#resolve(source), part);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }
}

function startOf(node: unknown): number | undefined {
  return isAlias(node) || isMap(node) || isSeq(node) || isScalar(node) ? node.range?.[0] : undefined;
}
