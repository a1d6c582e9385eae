import { createHash } from "node:crypto";
import { KedgeError } from "@kedge/domain";
import { compilePipeline, usedComponents } from "@kedge/pipeline";
import type { PipelineSpec } from "@kedge/proto";
import type { Stores } from "../stores.ts";
import { componentSources } from "./component-service.ts";
import { diagnosticText } from "./diagnostic-text.ts";

const MAX_KEPT = 256;

/** Compiles pipeline files; what was submitted of late with the same parameters is not compiled again. */
export class CompiledPipelines {
  readonly #stores: Pick<Stores, "components">;
  readonly #specs = new Map<string, PipelineSpec>();

  constructor(stores: Pick<Stores, "components">) {
    this.#stores = stores;
  }

  /**
   * The spec of a file; the same object for the same text and parameters, never to be changed.
   *
   * @throws KedgeError INVALID_PIPELINE.
   */
  compile(source: string, parameters: Readonly<Record<string, string>>): PipelineSpec {
    const key = digestOf(source, parameters);
    const known = this.#specs.get(key);
    if (known !== undefined) return known;
    const components = componentSources(this.#stores, usedComponents(source));
    const { spec, diagnostics } = compilePipeline(source, { parameters, components });
    if (spec === undefined) {
      throw new KedgeError("INVALID_PIPELINE", diagnosticText(diagnostics), { field: "pipeline_source" });
    }
    this.#specs.set(key, spec);
    const [oldest] = this.#specs.keys();
    if (this.#specs.size > MAX_KEPT && oldest !== undefined) this.#specs.delete(oldest);
    return spec;
  }
}

function digestOf(source: string, parameters: Readonly<Record<string, string>>): string {
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([source, sorted]))
    .digest("base64");
}
