import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { compilePipeline, lintPipeline, usedComponents } from "@kedge/pipeline";
import { PipelineSchema, type PipelineService } from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";
import type { ModelRegistry } from "../models/registry.ts";
import { planGates } from "../runs/gate.ts";
import { planPlacements } from "../scheduling/plan-pipeline.ts";
import type { Scheduling } from "../scheduling/scheduling.ts";
import type { Stores } from "../stores.ts";
import { componentSources } from "./component-service.ts";
import { diagnosticText } from "./diagnostic-text.ts";
import { lookUp } from "./lookup.ts";
import { pageOf } from "./paging.ts";

const NOT_FOUND = { reason: "PIPELINE_NOT_FOUND", noun: "pipeline", field: "name" } as const;

/** What the pipeline service works with. */
export interface PipelineServiceOptions {
  readonly stores: Stores;
  readonly scheduling: Scheduling;
  readonly models: Pick<ModelRegistry, "metric">;
  readonly clock: Clock;
}

/** PipelineService: keeps pipeline files, checks them, shows what a run of one would be. */
export function createPipelineService(options: PipelineServiceOptions): ServiceImplementation<typeof PipelineService> {
  const { stores, scheduling, models, clock } = options;
  const lint = (source: string, file?: string) =>
    lintPipeline(source, file, componentSources(stores, usedComponents(source)));
  return {
    applyPipeline: async (request, context) => {
      const diagnostics = lint(request.source);
      const errors = diagnosticText(diagnostics);
      if (errors !== "") throw new KedgeError("INVALID_PIPELINE", errors, { field: "source" });
      const name = pipelineName(request.source);
      const stored = stores.pipelines.get(name);
      if (stored?.value.source === request.source) return { pipeline: stored.value, diagnostics };
      const pipeline = create(PipelineSchema, {
        name,
        source: request.source,
        generation: (stored?.value.generation ?? 0n) + 1n,
        updatedAt: timestampFromMs(clock.now()),
        updatedBy: context.principal.name,
      });
      if (stored) await stores.pipelines.update(name, pipeline, stored.revision);
      else await stores.pipelines.create(name, pipeline);
      return { pipeline, diagnostics };
    },
    getPipeline: async (request) => ({ pipeline: lookUp(stores.pipelines, request.name, NOT_FOUND).value }),
    listPipelines: async (request) => {
      const all = [...stores.pipelines.entries()].map(([, { value }]) => value);
      const page = pageOf(
        all.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
        (pipeline) => pipeline.name,
        request,
      );
      return { pipelines: page.items, nextPageToken: page.nextPageToken };
    },
    deletePipeline: async (request) => {
      const { revision } = lookUp(stores.pipelines, request.name, NOT_FOUND);
      await stores.pipelines.delete(request.name, revision);
      return {};
    },
    lintPipeline: async (request) => ({ diagnostics: lint(request.source, request.file || "kedge.yaml") }),
    planPipeline: async (request) => {
      const components = componentSources(stores, usedComponents(request.source));
      const { spec, diagnostics } = compilePipeline(request.source, { parameters: request.parameters, components });
      if (spec === undefined) return { placements: {}, gates: {}, diagnostics };
      const gates = planGates(spec.jobs, (...asked) => models.metric(...asked));
      return { spec, placements: planPlacements(spec, scheduling), gates, diagnostics };
    },
  };
}

/** The name a valid pipeline file gives itself; parameters that have no default do not matter for it. */
function pipelineName(source: string): string {
  const name = /^name:\s*["']?([a-z0-9-]+)["']?\s*(?:#.*)?$/m.exec(source)?.[1];
  if (name !== undefined) return name;
  throw new KedgeError("INVALID_PIPELINE", "the pipeline has no name", {
    field: "source",
    hint: "add `name: my-pipeline`",
  });
}
