import type { Parameters } from "./handler.ts";
import type { InferRequest } from "./infer-request.ts";
import type { Tensor, Tensors } from "./tensor.ts";
import { encodeBinaryData } from "./tensor-binary.ts";
import { encodeJsonData } from "./tensor-json.ts";

/** What an inference gave, before it is put into bytes. */
export interface InferAnswer {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly outputs: Tensors;
  readonly parameters?: Parameters;
}

/** A response body; `jsonLength` is set when binary tensors follow the JSON. */
export interface EncodedResponse {
  readonly body: Buffer;
  readonly jsonLength: number | undefined;
}

/**
 * Encodes an answer in the form its request asks for, outputs in the requested order.
 *
 * @throws KedgeError INVALID_FIELD when an output can only travel as binary data and JSON was asked for.
 */
export function encodeResponse(
  answer: InferAnswer,
  request: Pick<InferRequest, "id" | "outputs" | "binaryOutput">,
): EncodedResponse {
  const tensors = Object.entries(answer.outputs);
  const isBinary = new Map(request.outputs?.map((output) => [output.name, output.binary]));
  const parts: Buffer[] = [];
  const outputs = tensors.map(([name, tensor]) => {
    if (!(isBinary.get(name) ?? request.binaryOutput))
      return outputJson(name, tensor, `"data":${encodeJsonData(name, tensor)}`);
    const bytes = encodeBinaryData(tensor);
    parts.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return outputJson(name, tensor, `"parameters":{"binary_data_size":${bytes.byteLength}}`);
  });
  const head = JSON.stringify({
    model_name: answer.modelName,
    model_version: answer.modelVersion,
    id: request.id,
    parameters: answer.parameters,
  });
  const json = Buffer.from(`${head.slice(0, -1)},"outputs":[${outputs.join(",")}]}`);
  return parts.length === 0
    ? { body: json, jsonLength: undefined }
    : { body: Buffer.concat([json, ...parts]), jsonLength: json.length };
}

function outputJson(name: string, tensor: Tensor, content: string): string {
  return `{"name":${JSON.stringify(name)},"datatype":"${tensor.datatype}","shape":[${tensor.shape.join(",")}],${content}}`;
}
