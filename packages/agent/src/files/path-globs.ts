import { fitsGlob } from "@kedge/pipeline";

/** Globs over paths of a folder; what names a folder takes all that is in it. */
export interface PathGlobs {
  /** The last glob that fits counts; `!` takes out again. */
  fits(path: string): boolean;
  /** Files and folders, relative, below which everything is that can fit; "" is the root. None is inside another. */
  readonly roots: readonly string[];
}

interface CompiledGlob {
  readonly takesOut: boolean;
  readonly root: string;
  readonly fits: (path: string) => boolean;
}

/** Prepares globs for many paths: most paths are told apart by how a glob begins. */
export function pathGlobs(globs: readonly string[]): PathGlobs {
  const compiled = globs.map(compile);
  const onlyTakesOut = compiled.every(({ takesOut }) => takesOut);
  const wanted = compiled.flatMap(({ takesOut, root }) => (takesOut ? [] : [root]));
  return {
    roots: onlyTakesOut ? [""] : outermost(wanted),
    fits: (path) => {
      const last = compiled.findLast(({ fits }) => fits(path));
      return last === undefined ? onlyTakesOut : !last.takesOut;
    },
  };
}

function compile(glob: string): CompiledGlob {
  const takesOut = glob.startsWith("!");
  const text = (takesOut ? glob.slice(1) : glob).replace(/^(?:\.\/)+/, "").replace(/\/+$/, "");
  const literal = /^[^*?[{]*/.exec(text)?.[0] ?? "";
  const root = literal === text ? literal : literal.slice(0, Math.max(0, literal.lastIndexOf("/")));
  return { takesOut, root: root === "." ? "" : root, fits: fitting(text, literal) };
}

function fitting(text: string, literal: string): (path: string) => boolean {
  if (text === "" || text === ".") return () => true;
  if (literal === text) return (path) => path === text || path.startsWith(`${text}/`);
  if (text === `${literal}**` && (literal === "" || literal.endsWith("/"))) return (path) => path.startsWith(literal);
  return (path) => path.startsWith(literal) && (fitsGlob(path, text) || fitsGlob(path, `${text}/**`));
}

function outermost(roots: readonly string[]): string[] {
  const all = [...new Set(roots)];
  const isInside = (inner: string, outer: string) => inner !== outer && (outer === "" || inner.startsWith(`${outer}/`));
  return all.filter((root) => !all.some((other) => isInside(root, other)));
}
