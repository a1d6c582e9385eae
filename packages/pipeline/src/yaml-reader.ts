import { type Alias, isAlias, isMap, isScalar, isSeq, type Node, type Pair, type Scalar, type YAMLMap } from "yaml";
import { type Finding, type Path, quote } from "./finding.ts";
import { LIMITS } from "./limits.ts";
import type { AsWritten } from "./yaml-text.ts";

/**
 * Turns YAML nodes into plain values. Differs from the library's own conversion: expansion is bounded by
 * LIMITS.values and LIMITS.depth, duplicate keys are found in linear time, merges (`<<`) work without YAML 1.1's
 * other surprises, and numbers keep their spelling where text is wanted.
 */
export class YamlReader {
  readonly findings: Finding[] = [];
  /** What each alias stands for. */
  readonly targets = new Map<Alias, Node>();
  readonly #anchors = new Map<string, Node>();
  readonly #asWritten: AsWritten;
  #values = 0;
  /** A limit was passed; what was read is not complete. */
  exhausted = false;

  constructor(asWritten: AsWritten) {
    this.#asWritten = asWritten;
  }

  /** The plain value of a node; null for nothing. */
  read(node: unknown, path: Path = []): unknown {
    if (this.exhausted) return null;
    if (++this.#values > LIMITS.values) return this.#exhaust(path, `the file holds more than ${LIMITS.values} values`);
    if (path.length > LIMITS.depth) return this.#exhaust(path, `the file nests deeper than ${LIMITS.depth} levels`);
    if (isAlias(node)) return this.#readAlias(node, path);
    if (isScalar(node)) return this.#readScalar(node, path);
    if (isMap(node)) return this.#readMap(node, path);
    if (!isSeq(node)) return null;
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    return node.items.map((item, i) => this.read(item, [...path, i]));
  }

  #exhaust(path: Path, message: string): null {
    this.exhausted = true;
    const first = path[0];
    this.findings.push({ path: first === undefined ? [] : [first], message, hint: "look for aliases (*) of aliases" });
    return null;
  }

  #readAlias(alias: Alias, path: Path): unknown {
    const target = this.targets.get(alias) ?? this.#anchors.get(alias.source);
    if (target === undefined) {
      this.findings.push({ path, message: `no anchor &${alias.source} comes before this alias` });
      return null;
    }
    this.targets.set(alias, target);
    return this.read(target, path);
  }

  #readScalar(node: Scalar, path: Path): unknown {
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    const { value, source } = node;
    if (typeof value === "string") return value;
    if (value !== null && source !== undefined && this.#asWritten(path)) return source;
    if (typeof value === "number" && !Number.isFinite(value)) {
      this.findings.push({ path, message: `${source ?? "the value"} is not a finite number` });
      return 0;
    }
    return typeof value === "number" || typeof value === "boolean" ? value : null;
  }

  #readMap(node: YAMLMap, path: Path): Record<string, unknown> {
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    const result: Record<string, unknown> = Object.create(null);
    const merges: Pair[] = [];
    for (const pair of node.items) {
      const key = this.#readKey(pair, path);
      if (key === undefined) continue;
      if (key === "<<") merges.push(pair);
      else if (key in result) this.#reportDuplicate(pair, key, path);
      else result[key] = this.read(pair.value, [...path, key]);
    }
    for (const pair of merges) this.#merge(result, this.read(pair.value, [...path, "<<"]), path);
    return result;
  }

  #readKey(pair: Pair, path: Path): string | undefined {
    const { key } = pair;
    if (isScalar(key) && key.value !== null && key.value !== "__proto__") return String(key.value);
    const offset = isScalar(key) || isMap(key) || isSeq(key) || isAlias(key) ? key.range?.[0] : undefined;
    const message = isScalar(key)
      ? `a key must not be ${key.value === null ? "empty" : "__proto__"}`
      : "a key must be text";
    this.findings.push({ path, message, ...(offset === undefined ? {} : { offset }) });
    return undefined;
  }

  #reportDuplicate(pair: Pair, key: string, path: Path): void {
    const offset = isScalar(pair.key) ? pair.key.range?.[0] : undefined;
    const message = `the key ${quote(key)} is there twice`;
    this.findings.push({
      path: [...path, key],
      message,
      hint: "keep one of them",
      ...(offset === undefined ? {} : { offset }),
    });
  }

  #merge(result: Record<string, unknown>, merged: unknown, path: Path): void {
    for (const source of Array.isArray(merged) ? merged : [merged]) {
      if (typeof source !== "object" || source === null || Array.isArray(source)) {
        this.findings.push({
          path: [...path, "<<"],
          message: "only mappings can be merged",
          hint: "write <<: *anchor",
        });
        continue;
      }
      for (const [key, value] of Object.entries(source)) if (!(key in result)) result[key] = value;
    }
  }
}
