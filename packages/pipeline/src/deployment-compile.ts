import type { DeploymentSpec, Diagnostic } from "@kedge/proto";

/** The deployment, absent when any diagnostic is an error, and everything found, sorted by position. */
export interface DeploymentResult {
  readonly spec?: DeploymentSpec;
  readonly diagnostics: Diagnostic[];
}

/** Reads a deployment file. Never throws. */
export function parseDeployment(_source: string, _options: { readonly file?: string } = {}): DeploymentResult {
  return { diagnostics: [] };
}
