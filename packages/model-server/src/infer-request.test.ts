import { isKedgeError } from "@kedge/domain";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DATATYPES, type Datatype, datatypeInfo } from "./datatype.ts";
import { parseInferRequest } from "./infer-request.ts";
import { encodeResponse } from "./infer-response.ts";
import { elementCount, isConsistent, type Tensor } from "./tensor.ts";

const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 });

const tensors: fc.Arbitrary<Tensor> = fc
  .tuple(fc.constantFrom(...(Object.keys(DATATYPES) as Datatype[])), shapes)
  .chain(([datatype, shape]): fc.Arbitrary<Tensor> => {
    const count = elementCount(shape);
    const exactly = { minLength: count, maxLength: count };
    if (datatype === "BYTES")
      return fc.array(fc.string({ unit: "grapheme" }), exactly).map((data) => ({ datatype, shape, data }));
    const bytes = datatypeInfo(datatype).bytes * count;
    const limits = { minLength: bytes, maxLength: bytes, max: datatype === "BOOL" ? 1 : 255 };
    return fc.uint8Array(limits).map((raw) => {
      return { datatype, shape, data: datatypeInfo(datatype).view(Uint8Array.from(raw).buffer, 0, count) };
    });
  });

/** The bytes of a request that carries the tensor, made from the response encoder: the two forms are the same. */
function requestBytes(tensor: Tensor, binary: boolean) {
  const answer = { modelName: "m", modelVersion: "1", outputs: { x: tensor } };
  const { body, jsonLength } = encodeResponse(answer, { outputs: undefined, binaryOutput: binary });
  const json = body.subarray(0, jsonLength).toString().replace('"outputs":', '"inputs":');
  return {
    body: Buffer.concat([Buffer.from(json), body.subarray(jsonLength ?? body.length)]),
    jsonLength: Buffer.byteLength(json),
  };
}

function parseOrRefuse(body: Uint8Array, headerLength: number | undefined) {
  try {
    return parseInferRequest(body, headerLength);
  } catch (error) {
    if (isKedgeError(error, "INVALID_FIELD")) return undefined;
    throw error;
  }
}

describe("parseInferRequest", () => {
  it("reads back every tensor from its binary form", () => {
    fc.assert(
      fc.property(tensors, (tensor) => {
        const { body, jsonLength } = requestBytes(tensor, true);
        expect(parseInferRequest(body, jsonLength).inputs["x"]).toEqual(tensor);
      }),
    );
  });

  it("reads the same tensor from JSON as from binary", () => {
    const finite = ({ datatype, data }: Tensor) =>
      datatype !== "FP16" &&
      Array.from<unknown>(data).every((value) => typeof value !== "number" || Number.isFinite(value));
    fc.assert(
      fc.property(tensors.filter(finite), (tensor) => {
        const [json, binary] = [requestBytes(tensor, false), requestBytes(tensor, true)];
        const fromJson = parseInferRequest(json.body, undefined).inputs["x"];
        const fromBinary = parseInferRequest(binary.body, binary.jsonLength).inputs["x"];
        expect(Array.from<unknown>(fromJson?.data ?? []).map(withoutSign)).toEqual(
          Array.from<unknown>(fromBinary?.data ?? []).map(withoutSign),
        );
      }),
    );
  });

  it("refuses any bytes with INVALID_FIELD or gives consistent tensors", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.option(fc.nat(250), { nil: undefined }), (body, length) => {
        parseOrRefuse(body, length);
      }),
    );
  });

  it("names a datatype that is none, beside numbers of more than 15 digits", () => {
    const input = '{"name":"x","datatype":[{"toString":""}],"shape":[1],"data":[12345678901234567890]}';
    const parse = () => parseInferRequest(Buffer.from(`{"inputs":[${input}]}`), undefined);
    expect(parse).toThrow(/datatype must be one of/);
  });

  it("refuses any document of the right outline, or gives consistent tensors", () => {
    const input = fc.record(
      {
        name: fc.oneof(fc.constantFrom("x", "__proto__", "constructor"), fc.jsonValue()),
        datatype: fc.oneof(fc.constantFrom(...Object.keys(DATATYPES)), fc.jsonValue()),
        shape: fc.oneof(shapes, fc.jsonValue()),
        data: fc.oneof(fc.array(fc.integer()), fc.jsonValue()),
        parameters: fc.oneof(fc.record({ binary_data_size: fc.oneof(fc.integer(), fc.jsonValue()) }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const document = fc.record(
      {
        id: fc.jsonValue(),
        inputs: fc.oneof(fc.array(input), fc.jsonValue()),
        outputs: fc.jsonValue(),
        parameters: fc.jsonValue(),
      },
      { requiredKeys: ["inputs"] },
    );
    fc.assert(
      fc.property(document, fc.uint8Array({ maxLength: 16 }), (json, binary) => {
        const head = Buffer.from(JSON.stringify(json));
        const parsed = parseOrRefuse(Buffer.concat([head, binary]), head.length);
        for (const tensor of Object.values(parsed?.inputs ?? {})) expect(isConsistent(tensor)).toBe(true);
      }),
      { numRuns: 500 },
    );
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });

  it("survives nesting deeper than any stack", () => {
    const deep = "[".repeat(200_000) + "]".repeat(200_000);
    const body = `{"inputs":[{"name":"x","datatype":"INT64","shape":[1,1],"data":${deep},"a":1234567890123456789}]}`;
    expect(parseOrRefuse(Buffer.from(body), undefined)).toBeUndefined();
  });
});

/** JSON.stringify writes -0 as 0. */
function withoutSign(value: unknown): unknown {
  return value === 0 ? 0 : value;
}
