import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type LineCounter,
  type Node,
  type Pair,
  type YAMLMap,
} from "yaml";
import type { Path, Positions } from "./finding.ts";

interface Place {
  readonly key: number;
  readonly node: unknown;
}

/** The way from a path to its place in the text, through aliases and merged mappings. */
export class YamlPlaces implements Positions {
  readonly #lines: LineCounter;
  readonly #pairs = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();
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
    return isMap(node) ? this.#stepInMap(node, String(part)) : undefined;
  }

  #stepInMap(map: YAMLMap, part: string): Place | undefined {
    const pairs = this.#pairsOf(map);
    const own = pairs.get(part);
    if (own !== undefined) return { key: startOf(own.key) ?? 0, node: own.value };
    const merged = this.#resolve(pairs.get("<<")?.value);
    for (const source of isSeq(merged) ? merged.items : [merged]) {
      const found = this.#step(this.#resolve(source), part);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** A mapping's pairs by key; of duplicates the first, as the reader does. */
  #pairsOf(map: YAMLMap): ReadonlyMap<string, Pair> {
    const known = this.#pairs.get(map);
    if (known !== undefined) return known;
    const pairs = new Map<string, Pair>();
    for (const pair of map.items) {
      if (isScalar(pair.key) && !pairs.has(String(pair.key.value))) pairs.set(String(pair.key.value), pair);
    }
    this.#pairs.set(map, pairs);
    return pairs;
  }
}

function startOf(node: unknown): number | undefined {
  return isAlias(node) || isMap(node) || isSeq(node) || isScalar(node) ? node.range?.[0] : undefined;
}
