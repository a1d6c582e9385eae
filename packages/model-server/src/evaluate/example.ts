import { errorMessage, KedgeError } from "@kedge/domain";
import { isDatatype } from "../datatype.ts";
import { arrayField, type JsonObject, objectField, own, parseJson, shapeField } from "../json.ts";
import type { Signature } from "../signature.ts";
import { MAX_RANK, type Tensor, type Tensors, tensorError } from "../tensor.ts";
import { decodeJsonData } from "../tensor-json.ts";

/** What an answer should be: a label, a number, or numbers in the order of the output. */
export type Expected = string | number | readonly number[];

/** One labelled example. */
export interface Example {
  readonly inputs: Tensors;
  readonly expected: Expected;
}

/**
 * Reads a line of examples: `{"inputs": {name: data, ...}, "expected": ...}`. Data is nested arrays, whose missing first
 * dimensions are 1; or `{"datatype", "shape", "data"}`, which a handler's own inputs need.
 *
 * @throws KedgeError INVALID_FIELD.
 */
export function parseExample(text: string, signature: Signature): Example {
  const line = objectField(parseJson(text, "example", true), "example");
  const unknown = Object.keys(line).find((key) => key !== "inputs" && key !== "expected");
  if (unknown !== undefined)
    throw new KedgeError("INVALID_FIELD", `"${unknown.slice(0, 80)}" is neither inputs nor expected`);
  const inputs: Record<string, Tensor> = Object.create(null);
  for (const [name, value] of Object.entries(objectField(own(line, "inputs"), "inputs"))) {
    inputs[name] = parseInput(name, value, signature);
  }
  return { inputs, expected: parseExpected(own(line, "expected")) };
}

function parseExpected(value: unknown): Expected {
  if (typeof value === "string" || typeof value === "number") return value;
  const list = Array.isArray(value) ? value : undefined;
  if (list?.every((each): each is number => typeof each === "number")) return list;
  throw new KedgeError("INVALID_FIELD", "expected: a label, a number, or a list of numbers", { field: "expected" });
}

function parseInput(name: string, value: unknown, signature: Signature): Tensor {
  const spec = signature.inputs.find((each) => each.name === name);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return describedTensor(name, objectField(value, name), spec?.datatype);
  }
  if (spec === undefined)
    throw tensorError(name, 'not an input of the model; a handler\'s own needs "datatype", "shape" and "data"');
  let shape = nestedShape(name, value);
  let data = value;
  while (shape.length < spec.shape.length) {
    shape = [1, ...shape];
    data = [data];
  }
  return decodeJsonData(name, { datatype: spec.datatype, shape }, data);
}

function describedTensor(name: string, value: JsonObject, fallback: string | undefined): Tensor {
  const datatype = own(value, "datatype") ?? fallback;
  if (typeof datatype !== "string" || !isDatatype(datatype))
    throw tensorError(name, "datatype: not one of the protocol's");
  const shape = shapeField(own(value, "shape"), `${name}.shape`, MAX_RANK);
  return decodeJsonData(
    name,
    { datatype, shape },
    arrayField(own(value, "data"), `${name}.data`, Number.MAX_SAFE_INTEGER),
  );
}

/** The form of nested arrays, by the first element of each. */
function nestedShape(name: string, value: unknown): number[] {
  const shape: number[] = [];
  for (let inner: unknown = value; Array.isArray(inner); inner = inner[0]) {
    if (shape.length === MAX_RANK) throw tensorError(name, `nested more than ${MAX_RANK} deep`);
    shape.push(inner.length);
  }
  return shape;
}

/** An error of one example, with the number of its line. */
export function inLine(number: number, error: unknown): KedgeError {
  return new KedgeError("INVALID_FIELD", `line ${number}: ${errorMessage(error)}`, {
    field: `line ${number}`,
    cause: error,
  });
}
