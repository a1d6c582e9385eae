import { posix } from "node:path";
import ignore, { type Ignore } from "ignore";

interface Rule {
  readonly excludes: boolean;
  readonly matcher: Ignore;
}

/**
 * Decides what of a build context is sent. Docker's rules, not git's: patterns start at the context's root, the last
 * one that matches a path or a folder above it decides, and `!` brings back what lies in an excluded folder.
 */
export class DockerIgnore {
  readonly #rules: readonly Rule[];
  /** With no exceptions, nothing in an excluded folder needs a look. */
  readonly canPrune: boolean;

  constructor(text: string, alwaysIncluded: readonly string[] = []) {
    const patterns = text.split(/\r?\n/).map((line) => line.trim());
    const rules = patterns.map(parseRule).filter((rule) => rule !== undefined);
    this.canPrune = rules.every((rule) => rule.excludes);
    this.#rules = [...rules, ...alwaysIncluded.map((path) => ({ excludes: false, matcher: matcherOf(literal(path)) }))];
  }

  /** Tells whether a path, relative to the context and with `/`, is left out. */
  excludes(path: string): boolean {
    let excluded = false;
    for (const rule of this.#rules) {
      if (rule.excludes !== excluded && rule.matcher.ignores(path)) excluded = rule.excludes;
    }
    return excluded;
  }
}

function parseRule(pattern: string): Rule | undefined {
  if (pattern === "" || pattern.startsWith("#")) return undefined;
  const excludes = !pattern.startsWith("!");
  const path = posix.normalize(`/${excludes ? pattern : pattern.slice(1).trim()}`).replace(/\/+$/, "");
  return path === "" ? undefined : { excludes, matcher: matcherOf(path) };
}

/** One pattern each: between patterns git's order and parent rules differ from Docker's. */
function matcherOf(path: string): Ignore {
  return ignore({ ignorecase: false }).add(path.startsWith("/") ? path : `/${path}`);
}

function literal(path: string): string {
  return path.replace(/[\\*?[\]]/g, "\\$&");
}
