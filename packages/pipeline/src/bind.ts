import {
  hasExpression,
  parameterName,
  parseReference,
  type Reference,
  RUN_FIELDS,
  scopedName,
  type Token,
  tokenise,
  untokenise,
} from "./expressions.ts";
import { type Finding, formatPath, nearHint, type Path, quote } from "./finding.ts";
import type { BoundParameter } from "./parameters.ts";
import { isTextField } from "./text-fields.ts";

/** A late-bound expression and where it stands. */
export interface PlacedReference {
  readonly path: Path;
  readonly reference: Reference;
}

/** A tree with its parameters filled in. Late-bound expressions and escapes are still there. */
export interface BoundTree {
  readonly value: unknown;
  readonly findings: Finding[];
  readonly references: PlacedReference[];
  /** Names of the parameters that are used. */
  readonly used: ReadonlySet<string>;
  /** formatPath of values that hold a parameter whose value is not known yet. */
  readonly unknown: ReadonlySet<string>;
}

/**
 * A plain file, which is called so in findings, knows no expressions; a pipeline has parameters and late-bound ones; the steps
 * of a component have inputs, and leave `run.<field>` to the pipeline.
 */
export type BindOptions =
  | { readonly mode: "plain"; readonly called: string }
  | {
      readonly mode: "pipeline";
      readonly parameters: ReadonlyMap<string, BoundParameter>;
      /** Values of matrices by job. */
      readonly cells: ReadonlyMap<string, { readonly job: string; readonly values: Readonly<Record<string, string>> }>;
    }
  | { readonly mode: "component"; readonly inputs: ReadonlyMap<string, BoundParameter> };

type BoundMode = Exclude<BindOptions, { mode: "plain" }>;
type PipelineOptions = Extract<BindOptions, { mode: "pipeline" }>;

/** Fills parameters into every value of a file. Keys, `name` and `parameters` at the top are left alone. */
export function bindTree(root: unknown, options: BindOptions): BoundTree {
  const binder = new Binder(options);
  return {
    value: binder.bind(root, []),
    findings: binder.findings,
    references: binder.references,
    used: binder.used,
    unknown: binder.unknown,
  };
}

class Binder {
  readonly findings: Finding[] = [];
  readonly references: PlacedReference[] = [];
  readonly used = new Set<string>();
  readonly unknown = new Set<string>();
  readonly #options: BindOptions;

  constructor(options: BindOptions) {
    this.#options = options;
  }

  bind(value: unknown, path: Path): unknown {
    if (typeof value === "string") return hasExpression(value) ? this.#bindText(value, path) : value;
    if (Array.isArray(value)) return value.map((item, i) => this.bind(item, [...path, i]));
    if (typeof value !== "object" || value === null) return value;
    const result: Record<string, unknown> = Object.create(null);
    for (const [key, item] of Object.entries(value)) {
      const isTop = path.length === 0 && this.#options.mode !== "component";
      const literal = isTop && (key === "name" || key === "parameters");
      result[key] = literal ? item : this.bind(item, [...path, key]);
    }
    return result;
  }

  #bindText(source: string, path: Path): unknown {
    const tokens = tokenise(source);
    if (this.#options.mode === "plain") return this.#plainText(tokens, path, this.#options.called);
    const options = this.#options;
    const only = tokens.length === 1 ? this.#known(tokens[0], options, path) : undefined;
    if (only !== undefined && !isTextField(path) && typeof only.value !== "string") return only.value;
    const bound = tokens.map((token) => this.#bindToken(token, options, path));
    const text = untokenise(bound);
    if (text !== undefined) return text;
    const hint = 'a "$" or "{" next to the expression changes its meaning; put something between them';
    const what = options.mode === "component" ? "an input" : "a parameter";
    this.findings.push({ path, message: `the value of ${what} runs into an expression`, hint });
    return source;
  }

  #plainText(tokens: readonly Token[], path: Path, called: string): string {
    const lookup = tokens.find((token) => token.kind !== "text");
    if (lookup !== undefined) {
      const hint = "expressions belong into pipelines; for a literal ${{ write $${{";
      this.findings.push({ path, message: `a ${called} has no expressions: ${quote(lookup.source)}`, hint });
    }
    return tokens.map((token) => (token.kind === "text" ? token.text : token.source)).join("");
  }

  #bindToken(token: Token, options: BoundMode, path: Path): Token {
    if (token.kind === "text") return token;
    if (token.kind === "open") {
      this.findings.push({ path, message: `\${{ has no closing }}`, hint: "for a literal ${{ write $${{" });
      return token;
    }
    const known = this.#known(token, options, path);
    if (known !== undefined) return { kind: "text", text: known.text };
    const reference = parseReference(token.name);
    if (options.mode === "component") {
      if (reference?.kind !== "run") this.findings.push(noInput(token.name, options.inputs, path));
      return token;
    }
    const name = parameterName(token.name);
    const scoped = scopedName(token.name);
    if (name !== undefined) {
      const hint = () => nearHint(name, options.parameters.keys());
      this.findings.push({ path, message: `no parameter ${quote(name)} is declared`, hint });
    } else if (scoped !== undefined) this.findings.push(noSuchScope(scoped, options, path));
    else if (reference === undefined) this.#reportUnknown(token.name, path);
    else this.references.push({ path, reference });
    return token;
  }

  /** The parameter, input, or value of the job's matrix, that a token asks for, if there is one. */
  #known(token: Token | undefined, options: BoundMode, path: Path): BoundParameter | undefined {
    if (token?.kind !== "lookup") return undefined;
    const scoped = scopedName(token.name);
    if (options.mode === "component")
      return this.#use(scoped?.scope === "inputs" ? scoped.name : undefined, options.inputs, path);
    const { parameters, cells } = options;
    const cell = scoped?.scope === "matrix" ? cells.get(String(path[1])) : undefined;
    if (scoped !== undefined && cell !== undefined) {
      // A combination that `include` added may lack what others have.
      const isAxis = Object.hasOwn(cell.values, scoped.name) || axesOf(path, cells).has(scoped.name);
      return isAxis ? scalar(cell.values[scoped.name] ?? "") : undefined;
    }
    return this.#use(parameterName(token.name), parameters, path);
  }

  #use(name: string | undefined, known: ReadonlyMap<string, BoundParameter>, path: Path): BoundParameter | undefined {
    const parameter = name === undefined ? undefined : known.get(name);
    if (name === undefined || parameter === undefined) return undefined;
    this.used.add(name);
    if (parameter.isSecret === true) {
      const hint = `give it to the job: secrets: [{ parameter: ${name}, env: ... }]`;
      this.findings.push({ path, message: "a secret parameter cannot be part of a value", hint });
    }
    if (parameter.unknown) this.unknown.add(formatPath(path));
    return parameter;
  }

  #reportUnknown(name: string, path: Path): void {
    this.findings.push({
      path,
      message: `nothing is called ${quote(name)}`,
      hint: () =>
        nearHint(
          name,
          RUN_FIELDS.map((field) => `run.${field}`),
        )?.replace(/^known are .*/, "") ||
        (name.startsWith("secrets.")
          ? "list it under secrets of the job, and read it as a variable"
          : "there are parameters.<name>, matrix.<axis>, jobs.<job>.outputs.<key>, jobs.<job>.metrics.<key> and run.<field>"),
    });
  }
}

type Cells = PipelineOptions["cells"];

/** Axes of the combinations of the same job. */
function axesOf(path: Path, cells: Cells): ReadonlySet<string> {
  const own = cells.get(String(path[1]));
  const alike = [...cells.values()].filter(({ job }) => job === own?.job);
  return new Set(alike.flatMap(({ values }) => Object.keys(values)));
}

function noSuchScope(
  { scope, name }: { scope: string; name: string },
  { cells }: PipelineOptions,
  path: Path,
): Finding {
  if (scope === "inputs")
    return { path, message: "inputs are for components", hint: "in pipelines there are parameters" };
  const axes = axesOf(path, cells);
  if (!cells.has(String(path[1]))) return { path, message: "the job has no matrix" };
  return { path, message: `the matrix has no axis ${quote(name)}`, hint: () => nearHint(name, axes) };
}

function noInput(name: string, inputs: ReadonlyMap<string, BoundParameter>, path: Path): Finding {
  const message = `a component knows its inputs and run.<field> only, not ${quote(name)}`;
  const known = () => [...inputs.keys()].map((it) => `inputs.${it}`);
  return { path, message, hint: () => nearHint(name, known()) };
}

/** A value of a matrix, typed as YAML would read it. */
function scalar(text: string): BoundParameter {
  const isNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text);
  const value = text === "true" || text === "false" ? text === "true" : isNumber ? Number(text) : text;
  return { text, value, unknown: false };
}
