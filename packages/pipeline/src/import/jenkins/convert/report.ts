import type { ImportFidelity, ImportNote } from "../../import-report.ts";
import type { Places } from "../model/problems.ts";

/** Collects what became of each construct. */
export class Report {
  readonly places: Places;
  readonly #notes: { readonly at: number; readonly note: ImportNote }[] = [];
  readonly #seen = new Set<string>();

  constructor(places: Places) {
    this.places = places;
  }

  exact(at: number, construct: string, message: string): void {
    this.#add("exact", { at, construct, message });
  }

  approximate(at: number, construct: string, message: string): void {
    this.#add("approximate", { at, construct, message });
  }

  unsupported(at: number, construct: string, message: string): void {
    this.#add("unsupported", { at, construct, message });
  }

  /** In the order of the file. */
  list(): ImportNote[] {
    return [...this.#notes].sort((a, b) => a.at - b.at).map(({ note }) => note);
  }

  #add(fidelity: ImportFidelity, { at, construct, message }: { at: number; construct: string; message: string }): void {
    const key = `${at} ${construct} ${message}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#notes.push({ at, note: { fidelity, ...this.places.of(at), construct, message } });
  }
}

/** Gives names that nobody else was given. */
export class Names {
  readonly #taken = new Set<string>();
  /** Where to go on counting, by the name that was wanted. */
  readonly #counts = new Map<string, number>();

  take(wanted: string): string {
    let name = wanted;
    let count = this.#counts.get(wanted) ?? 2;
    while (this.#taken.has(name)) name = `${wanted}-${count++}`;
    this.#counts.set(wanted, count);
    this.#taken.add(name);
    return name;
  }
}

/** The name of a secret for the id of Jenkins credentials. */
export function secretName(id: string): string {
  const plain = id.replaceAll(/[^A-Za-z0-9_-]+/g, "_").slice(0, 100);
  return /^[A-Za-z_]/.test(plain) ? plain : `_${plain}`;
}
