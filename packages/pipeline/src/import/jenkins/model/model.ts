import type { Block, Expression } from "../groovy/nodes.ts";

/** Something with a place in the file. */
export interface Placed {
  /** Offset of its first character. */
  readonly at: number;
}

/** A literal, or the source text of what is computed. */
export interface Value extends Placed {
  readonly kind: "value";
  readonly isLiteral: boolean;
  /** Of strings and wholes decoded; else source text. */
  readonly value: string | number | boolean | null;
  readonly expression: Expression;
}

/** A value or call with a name. */
export interface Pair<T> extends Placed {
  readonly key: string;
  readonly value: T;
}

/** The arguments of a step or condition. */
export type Arguments =
  | { readonly kind: "single"; readonly value: Value }
  | { readonly kind: "named"; readonly entries: readonly Pair<Value>[] }
  | { readonly kind: "positional"; readonly values: readonly Value[] };

/** A step; one with `children` has a block, one with `code` holds any Groovy. */
export interface Step extends Placed {
  readonly name: string;
  readonly args: Arguments;
  readonly children?: readonly Step[];
  readonly code?: Code;
}

/** Groovy that is kept as it is. */
export interface Code {
  readonly text: string;
  readonly body: Block;
}

/** A list of steps that run one after the other. */
export interface Branch extends Placed {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** An option, trigger, parameter, or a call in the arguments of one. */
export interface MethodCall extends Placed {
  readonly kind: "call";
  readonly name: string;
  readonly args: readonly MethodArgument[];
}

/** What a call is given. */
export type MethodArgument = Value | MethodCall | (Pair<Value | MethodCall> & { readonly kind: "pair" });

/** A list of calls, e.g. `options`. */
export interface Calls extends Placed {
  readonly calls: readonly MethodCall[];
}

/** Where stages run: `any`, or a type with one value or with fields. */
export interface Agent extends Placed {
  readonly type: string;
  readonly argument?: Value;
  readonly fields?: readonly AgentField[];
}

/** A field of an agent; some have fields of their own. */
export type AgentField = Pair<Value | readonly AgentField[]>;

/** A variable's value: text, or a call of `credentials`. */
export type EnvironmentValue = Value | MethodCall;

/** A section of names with values. */
export interface Environment extends Placed {
  readonly entries: readonly Pair<EnvironmentValue>[];
}

/** The `tools` section. */
export interface Tools extends Placed {
  readonly entries: readonly Pair<Value>[];
}

/** What runs after a stage or the pipeline, by how it ended. */
export interface Post extends Placed {
  readonly conditions: readonly { readonly condition: string; readonly branch: Branch; readonly at: number }[];
}

/** A condition of a stage; undefined arguments: it has conditions of its own and no arguments. */
export interface Condition extends Placed {
  readonly name: string;
  readonly args?: Arguments;
  readonly children?: readonly Condition[];
  readonly code?: Code;
}

/** When a stage runs: all of the conditions. */
export interface When extends Placed {
  readonly conditions: readonly Condition[];
  readonly beforeAgent?: boolean;
  readonly beforeInput?: boolean;
  readonly beforeOptions?: boolean;
}

/** What a person is asked before a stage. */
export interface Input extends Placed {
  readonly fields: Readonly<Record<string, Value>>;
  readonly parameters: readonly MethodCall[];
}

/** An axis of a matrix, or of an exclusion from it. */
export interface Axis extends Placed {
  readonly name: string;
  readonly values: readonly Value[];
  /** All values but these. */
  readonly inverse?: boolean;
}

/** What stages and a matrix have in common. */
export interface StageBase extends Placed {
  readonly agent?: Agent;
  readonly when?: When;
  readonly post?: Post;
  readonly options?: Calls;
  readonly input?: Input;
  readonly tools?: Tools;
  readonly environment?: Environment;
}

/** A matrix of stages. */
export interface Matrix extends StageBase {
  readonly axes?: readonly Axis[];
  readonly excludes?: readonly (readonly Axis[])[];
  readonly stages?: readonly Stage[];
}

/** A stage: steps, stages, parallel stages or a matrix. */
export interface Stage extends StageBase {
  readonly name: string;
  readonly branches: readonly Branch[];
  readonly stages?: readonly Stage[];
  readonly parallel?: readonly Stage[];
  readonly matrix?: Matrix;
  readonly failFast?: boolean;
}

/** A declarative pipeline. */
export interface Pipeline extends Placed {
  readonly agent?: Agent;
  readonly stages?: readonly Stage[];
  readonly post?: Post;
  readonly environment?: Environment;
  readonly tools?: Tools;
  readonly options?: Calls;
  readonly parameters?: Calls;
  readonly triggers?: Calls;
  readonly libraries?: readonly Value[];
}
