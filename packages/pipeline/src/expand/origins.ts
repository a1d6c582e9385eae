import type { Path } from "../finding.ts";
import { formatPath } from "../finding.ts";

/** Where what was expanded stands in the file: jobs of a matrix, steps of a component, needs of a stage. */
export class Origins {
  readonly #jobs = new Map<string, string>();
  readonly #lists = new Map<string, readonly number[]>();

  /** A job that the file has under another name. */
  setJob(name: string, inFile: string): void {
    this.#jobs.set(name, inFile);
  }

  /** A list whose items stand at other indices in the file; an index that comes again stands for the whole item. */
  setList(path: Path, indices: readonly number[]): void {
    if (indices.some((index, i) => index !== i)) this.#lists.set(formatPath(path), indices);
  }

  /** The place in the file. */
  of(path: Path): Path {
    const found: (string | number)[] = [];
    for (const [i, part] of path.entries()) {
      if (i === 1 && path[0] === "jobs" && typeof part === "string") {
        found.push(this.#jobs.get(part) ?? part);
        continue;
      }
      const indices = typeof part === "number" ? this.#lists.get(formatPath(path.slice(0, i))) : undefined;
      if (indices === undefined || typeof part !== "number") {
        found.push(part);
        continue;
      }
      const index = indices[part] ?? 0;
      found.push(index);
      if (indices.indexOf(index) !== indices.lastIndexOf(index)) return found;
    }
    return found;
  }

  /** The place in the file, of one whose indices are the file's already. */
  ofJob(path: Path): Path {
    const [root, job, ...rest] = path;
    return root === "jobs" && typeof job === "string" ? [root, this.#jobs.get(job) ?? job, ...rest] : path;
  }

  /** Tells whether a place stands for several of the expanded file. */
  isShared(path: Path): boolean {
    return path[0] === "jobs" && typeof path[1] === "string" && this.#jobs.has(path[1]);
  }
}
