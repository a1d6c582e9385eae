import type { Diagnostic, Parameter } from "@kedge/proto";
import { z } from "zod";
import { bindTree } from "../bind.ts";
import { name, text } from "../fields.ts";
import { type Finding, formatPath, type Path, quote, toDiagnostics } from "../finding.ts";
import { bindParameters, declaredParameters, INPUT, parametersSchema } from "../parameters.ts";
import { knownKeys, scalarAsText, schemaFindings, valueAt } from "../schema-findings.ts";
import { stepsSchema } from "../steps.ts";
import { isTextField } from "../text-fields.ts";
import { readYaml } from "../yaml-text.ts";

/** A file of steps that pipelines use, pinned by its digest. */
const componentSchema = z.strictObject({
  component: name("pipeline"),
  description: text.optional(),
  inputs: parametersSchema.optional(),
  steps: stepsSchema,
});

/** A component that was read: what it takes, and its steps as written. */
export interface Component {
  readonly name: string;
  readonly description: string;
  readonly inputs: Parameter[];
  /** Plain values, `${{ inputs.x }}` in place. */
  readonly steps: readonly unknown[];
}

/** The component, absent when anything is wrong with it, and everything found. */
export interface ComponentResult {
  readonly component?: Component;
  readonly diagnostics: Diagnostic[];
}

/** Reads a component file. Inputs are typed as parameters are; where they are used, their defaults are tried. Never throws. */
export function parseComponent(source: string, file = "component.yaml"): ComponentResult {
  const yaml = readYaml(source, isTextField);
  if (yaml.value === undefined) return { diagnostics: toDiagnostics(yaml.findings, yaml.positions, file) };
  const inputs = declaredParameters(valueAt(yaml.value, ["inputs"]));
  const { bound } = bindParameters(inputs, undefined);
  const tree = bindTree({ steps: valueAt(yaml.value, ["steps"]) }, { mode: "component", inputs: bound });
  const steps = valueAt(tree.value, ["steps"]);
  const parsed = componentSchema.safeParse({ ...Object(yaml.value), steps });
  const root = { ...Object(yaml.value), steps };
  const shape = schemaFindings(parsed.error?.issues ?? [], root, (path) => knownKeys(componentSchema, path));
  const unused: Finding[] = inputs
    .filter((input) => !tree.used.has(input.name))
    .map((input) => ({
      path: ["inputs", input.name],
      atKey: true,
      warning: true,
      message: `the input ${quote(input.name)} is not used`,
    }));
  const known = (finding: Finding): boolean => !tree.unknown.has(formatPath(finding.path));
  const findings = [...yaml.findings, ...tree.findings, ...shape.filter(known), ...unused];
  const diagnostics = toDiagnostics(findings, yaml.positions, file);
  const written = valueAt(yaml.value, ["steps"]);
  if (!parsed.success || findings.some((it) => it.warning !== true) || !Array.isArray(written)) return { diagnostics };
  const { component: called, description = "" } = parsed.data;
  return { component: { name: called, description, inputs, steps: written }, diagnostics };
}

/**
 * The steps of a component with its inputs filled; later expressions stay as they are.
 *
 * @param given scalars by input.
 */
export function stepsOfComponent(
  component: Component,
  given: Readonly<Record<string, unknown>>,
  path: Path,
): { readonly steps: readonly unknown[]; readonly findings: Finding[] } {
  const values = Object.fromEntries(Object.entries(given).map(([key, value]) => [key, scalarAsText(value)]));
  const { bound, findings } = bindParameters(component.inputs, values, INPUT);
  const tree = bindTree(component.steps, { mode: "component", inputs: bound });
  const own = findings.map((finding): Finding => ({ ...finding, path }));
  const below = tree.findings.map((finding): Finding => ({ ...finding, path }));
  return { steps: Array.isArray(tree.value) ? tree.value : [], findings: [...own, ...below] };
}
