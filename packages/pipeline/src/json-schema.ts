/** The JSON Schema of kedge.yaml, for editors. */
export function pipelineJsonSchema(): Record<string, unknown> {
  return {};
}

/** The JSON Schema of a deployment file, for editors. */
export function deploymentJsonSchema(): Record<string, unknown> {
  return {};
}
