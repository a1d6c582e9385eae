import type {
  Agent,
  AgentField,
  Arguments,
  Axis,
  Branch,
  Calls,
  Code,
  Condition,
  Environment,
  Input,
  Matrix,
  MethodArgument,
  MethodCall,
  Pipeline,
  Post,
  Stage,
  StageBase,
  Step,
  Tools,
  Value,
  When,
} from "./model.ts";

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

type JsonObject = { readonly [key: string]: Json };

/** The pipeline as the JSON of Jenkins' own converter (ast-schema.json of pipeline-model-definition). */
export function pipelineJson(pipeline: Pipeline): Json {
  const { stages = [], agent, post, environment, tools, options, parameters, triggers, libraries } = pipeline;
  const body = {
    stages: stages.map(stageJson),
    ...optional("agent", agent, agentJson),
    ...optional("post", post, postJson),
    ...optional("environment", environment, entriesJson),
    ...optional("tools", tools, entriesJson),
    ...optional("options", options, (it) => callsJson("options", it)),
    ...optional("parameters", parameters, (it) => callsJson("parameters", it)),
    ...optional("triggers", triggers, (it) => callsJson("triggers", it)),
    ...optional("libraries", libraries, (it) => ({ libraries: it.map(valueJson) })),
  };
  return { pipeline: body };
}

function optional<T>(key: string, value: T | undefined, toJson: (value: T) => Json): JsonObject {
  return value === undefined ? {} : { [key]: toJson(value) };
}

const list =
  <T>(toJson: (value: T) => Json) =>
  (values: readonly T[]): Json =>
    values.map(toJson);

function stageJson(stage: Stage): Json {
  const { name, stages, parallel, matrix, branches, failFast } = stage;
  return {
    name,
    ...baseJson(stage),
    ...optional("stages", stages, list(stageJson)),
    ...optional("parallel", parallel, list(stageJson)),
    ...optional("matrix", matrix, matrixJson),
    ...(branches.length === 0 ? {} : { branches: branches.map(branchJson) }),
    ...optional("failFast", failFast, (it) => it),
  };
}

function baseJson({ agent, when, post, options, input, tools, environment }: StageBase): JsonObject {
  return {
    ...optional("agent", agent, agentJson),
    ...optional("when", when, whenJson),
    ...optional("post", post, postJson),
    ...optional("options", options, (it) => callsJson("options", it)),
    ...optional("input", input, inputJson),
    ...optional("tools", tools, entriesJson),
    ...optional("environment", environment, entriesJson),
  };
}

function matrixJson(matrix: Matrix): Json {
  return {
    ...baseJson(matrix),
    ...optional("axes", matrix.axes, list(axisJson)),
    ...optional("excludes", matrix.excludes, list(list(axisJson))),
    ...optional("stages", matrix.stages, list(stageJson)),
  };
}

function axisJson({ name, values, inverse }: Axis): Json {
  return { name, values: values.map(valueJson), ...optional("inverse", inverse, (it) => it) };
}

function branchJson({ name, steps }: Branch): Json {
  return { name, steps: steps.map(stepJson) };
}

function stepJson({ name, args, children, code }: Step): Json {
  return {
    name,
    arguments: code === undefined ? argumentsJson(args) : codeJson(code),
    ...optional("children", children, list(stepJson)),
  };
}

function codeJson({ text }: Code): Json {
  return [{ key: "scriptBlock", value: { isLiteral: true, value: text } }];
}

function argumentsJson(args: Arguments): Json {
  if (args.kind === "single") return valueJson(args.value);
  if (args.kind === "positional") return args.values.map(valueJson);
  return args.entries.map(({ key, value }) => ({ key, value: valueJson(value) }));
}

function valueJson({ isLiteral, value }: Value): Json {
  return { isLiteral, value };
}

function agentJson({ type, argument, fields }: Agent): Json {
  return {
    type,
    ...optional("argument", argument, valueJson),
    ...(fields === undefined || fields.length === 0 ? {} : { arguments: fields.map(fieldJson) }),
  };
}

function fieldJson({ key, value }: AgentField): Json {
  return { key, value: "kind" in value ? valueJson(value) : value.map(fieldJson) };
}

function whenJson({ conditions, beforeAgent, beforeInput, beforeOptions }: When): Json {
  return {
    conditions: conditions.map(conditionJson),
    ...optional("beforeAgent", beforeAgent, (it) => it),
    ...optional("beforeInput", beforeInput, (it) => it),
    ...optional("beforeOptions", beforeOptions, (it) => it),
  };
}

function conditionJson({ name, args, children, code }: Condition): Json {
  return {
    name,
    ...(code === undefined ? optional("arguments", args, argumentsJson) : { arguments: codeJson(code) }),
    ...(children === undefined || children.length === 0 ? {} : { children: children.map(conditionJson) }),
  };
}

function postJson({ conditions }: Post): Json {
  return { conditions: conditions.map(({ condition, branch }) => ({ condition, branch: branchJson(branch) })) };
}

function callsJson(key: string, { calls }: Calls): Json {
  return { [key]: calls.map(callJson) };
}

function callJson({ name, args }: MethodCall): Json {
  return { name, arguments: args.map(methodArgumentJson) };
}

function methodArgumentJson(arg: MethodArgument): Json {
  if (arg.kind === "pair") return { key: arg.key, value: methodArgumentJson(arg.value) };
  return arg.kind === "call" ? callJson(arg) : valueJson(arg);
}

function entriesJson({ entries }: Environment | Tools): Json {
  return entries.map(({ key, value }) => ({ key, value: methodArgumentJson(value) }));
}

function inputJson({ fields, parameters }: Input): Json {
  return {
    ...Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, valueJson(value)])),
    ...(parameters.length === 0 ? {} : { parameters: { parameters: parameters.map(callJson) } }),
  };
}
