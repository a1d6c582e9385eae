import { KedgeError } from "@kedge/domain";
import { DATATYPES, type Datatype, isDatatype } from "./datatype.ts";
import type { Parameter, Parameters } from "./handler.ts";
import {
  arrayField,
  fieldError,
  type JsonObject,
  objectField,
  own,
  parseJson,
  shapeField,
  stringField,
} from "./json.ts";
import { MAX_RANK, type Tensor, type Tensors, tensorError } from "./tensor.ts";
import { decodeBinaryData } from "./tensor-binary.ts";
import { decodeJsonData } from "./tensor-json.ts";

/** An output the client asks for. */
export interface RequestedOutput {
  readonly name: string;
  /** As binary data; undefined leaves it to the request's `binary_data_output`. */
  readonly binary: boolean | undefined;
}

/** A parsed inference request. */
export interface InferRequest {
  readonly id?: string;
  readonly parameters: Parameters;
  readonly inputs: Tensors;
  /** Undefined = all outputs. */
  readonly outputs: readonly RequestedOutput[] | undefined;
  readonly binaryOutput: boolean;
}

const MAX_TENSORS = 1024;
const MAX_PARAMETERS = 64;
const FORBIDDEN_NAMES = ["__proto__", "constructor", "prototype"];
const UNSUPPORTED = ["shared_memory_region", "classification"];
/** A literal this long may not fit a double. */
const LONG_INTEGER = /\d{16}/;

/**
 * Parses the body of an inference request: JSON, then the bytes of binary tensors in the order of their inputs.
 *
 * @param headerLength Bytes of the JSON part (`Inference-Header-Content-Length`); undefined = the whole body.
 * @throws KedgeError INVALID_FIELD naming the field or input at fault.
 */
export function parseInferRequest(body: Uint8Array, headerLength: number | undefined): InferRequest {
  const jsonLength = headerLength ?? body.length;
  if (jsonLength > body.length) {
    throw fieldError("Inference-Header-Content-Length", `at most the body's ${body.length} bytes`, jsonLength);
  }
  const document = parseDocument(body.subarray(0, jsonLength));
  const binary = new BinarySection(body.subarray(jsonLength));
  const inputs: Record<string, Tensor> = Object.create(null);
  for (const [index, input] of arrayField(own(document, "inputs"), "inputs", MAX_TENSORS).entries()) {
    const [name, tensor] = parseInput(objectField(input, `inputs[${index}]`), `inputs[${index}]`, binary);
    if (name in inputs) throw tensorError(name, "given twice");
    inputs[name] = tensor;
  }
  binary.assertUsedUp();
  const parameters = parseParameters(own(document, "parameters"), "parameters");
  const id = own(document, "id");
  return {
    ...(id === undefined ? {} : { id: stringField(id, "id", 1024) }),
    parameters,
    inputs,
    outputs: parseOutputs(own(document, "outputs")),
    binaryOutput: parameters["binary_data_output"] === true,
  };
}

function parseDocument(bytes: Uint8Array): JsonObject {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new KedgeError("INVALID_FIELD", "the request body is not UTF-8", { cause: error });
  }
  const document = objectField(parseJson(text, "the request body"), "the request body");
  return LONG_INTEGER.test(text) && has64BitInput(document)
    ? objectField(parseJson(text, "the request body", true), "the request body")
    : document;
}

function has64BitInput(document: JsonObject): boolean {
  const inputs = own(document, "inputs");
  return Array.isArray(inputs) && inputs.some((input) => ["INT64", "UINT64"].includes(input?.datatype));
}

/** The bytes after the JSON, handed out in the order of the inputs. */
class BinarySection {
  readonly #bytes: Uint8Array;
  #used = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(name: string, size: unknown): Uint8Array {
    const left = this.#bytes.length - this.#used;
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0 || size > left) {
      throw tensorError(name, `binary_data_size must be a number of bytes, at most the ${left} that are left`);
    }
    this.#used += size;
    return this.#bytes.subarray(this.#used - size, this.#used);
  }

  assertUsedUp(): void {
    const left = this.#bytes.length - this.#used;
    if (left === 0) return;
    throw new KedgeError("INVALID_FIELD", `${left} bytes follow the JSON part that belong to no input`);
  }
}

function parseInput(input: JsonObject, field: string, binary: BinarySection): [string, Tensor] {
  const name = nameField(own(input, "name"), `${field}.name`);
  const datatype = own(input, "datatype");
  if (typeof datatype !== "string" || !isDatatype(datatype)) {
    throw tensorError(name, `datatype must be one of ${Object.keys(DATATYPES).join(", ")}`);
  }
  const shape = shapeField(own(input, "shape"), `tensor '${name}': shape`, MAX_RANK);
  const declared: { datatype: Datatype; shape: number[] } = { datatype, shape };
  const parameters = parseParameters(own(input, "parameters"), `tensor '${name}': parameters`);
  const data = own(input, "data");
  if (parameters["binary_data_size"] === undefined) return [name, decodeJsonData(name, declared, data)];
  if (data !== undefined) throw tensorError(name, "has both data and binary_data_size");
  return [name, decodeBinaryData(name, declared, binary.take(name, parameters["binary_data_size"]))];
}

function parseOutputs(value: unknown): RequestedOutput[] | undefined {
  if (value === undefined) return undefined;
  const outputs = arrayField(value, "outputs", MAX_TENSORS).map((item, index) => {
    const output = objectField(item, `outputs[${index}]`);
    const name = nameField(own(output, "name"), `outputs[${index}].name`);
    const binary = parseParameters(own(output, "parameters"), `output '${name}': parameters`)["binary_data"];
    if (binary !== undefined && typeof binary !== "boolean")
      throw tensorError(name, "binary_data must be true or false");
    return { name, binary };
  });
  const twice = outputs.find((output, index) => outputs.findIndex((other) => other.name === output.name) !== index);
  if (twice !== undefined) throw tensorError(twice.name, "requested twice");
  return outputs.length === 0 ? undefined : outputs;
}

function parseParameters(value: unknown, field: string): Parameters {
  const parameters: Record<string, Parameter> = Object.create(null);
  if (value === undefined) return parameters;
  const entries = Object.entries(objectField(value, field));
  if (entries.length > MAX_PARAMETERS) throw fieldError(field, `at most ${MAX_PARAMETERS} parameters`, entries.length);
  for (const [key, item] of entries) {
    const name = nameField(key, `${field}: name`);
    if (UNSUPPORTED.includes(name))
      throw new KedgeError("INVALID_FIELD", `${field}: ${name} is not supported`, { field });
    parameters[name] = parameterValue(item, `${field}.${name}`);
  }
  return parameters;
}

function parameterValue(value: unknown, field: string): Parameter {
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  throw fieldError(field, "a string, number or boolean", value);
}

/** A name from a client. Those that mean something to JavaScript objects are refused, for handlers that copy by name. */
function nameField(value: unknown, field: string): string {
  const name = stringField(value, field);
  if (FORBIDDEN_NAMES.includes(name)) throw fieldError(field, "another name", name);
  return name;
}
