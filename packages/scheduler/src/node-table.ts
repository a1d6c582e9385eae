import type { Node } from "@kedge/proto";
import { ChangeLog } from "./change-log.ts";
import type { ChangingNodes } from "./demand-class.ts";
import { NodeEntry } from "./node-entry.ts";

/** Nodes by id and by slot. Slots are not used again before all are given out anew, so that what is kept by slot stays true. */
export class NodeTable implements ChangingNodes {
  readonly #byId = new Map<string, NodeEntry>();
  #bySlot: (NodeEntry | undefined)[] = [];
  readonly #log = new ChangeLog();

  get size(): number {
    return this.#byId.size;
  }

  get slots(): number {
    return this.#bySlot.length;
  }

  get changes(): number {
    return this.#log.count;
  }

  get(nodeId: string): NodeEntry | undefined {
    return this.#byId.get(nodeId);
  }

  at(slot: number): NodeEntry | undefined {
    return this.#bySlot[slot];
  }

  values(): Iterable<NodeEntry> {
    return this.#byId.values();
  }

  changedSince(change: number): Iterable<number> | undefined {
    return this.#log.since(change);
  }

  add(node: Node): NodeEntry {
    const entry = new NodeEntry(node, this.#bySlot.length);
    this.#byId.set(node.id, entry);
    this.#bySlot.push(entry);
    this.noteChange(entry);
    return entry;
  }

  remove(entry: NodeEntry): void {
    this.#byId.delete(entry.id);
    this.#bySlot[entry.slot] = undefined;
    this.noteChange(entry);
    if (this.#bySlot.length > 2 * this.#byId.size + 64) this.#compact();
  }

  /** To be called after every change of an entry. */
  noteChange(entry: NodeEntry): void {
    this.#log.note(entry.slot);
  }

  #compact(): void {
    this.#bySlot = [...this.#byId.values()];
    for (const [slot, entry] of this.#bySlot.entries()) if (entry !== undefined) entry.slot = slot;
    this.#log.forget();
  }
}
