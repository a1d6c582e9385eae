import { KedgeError } from "@kedge/domain";
import {
  type PlanDemandResponse,
  PlanDemandResponseSchema,
  type PlanPipelineResponse,
  PlanPipelineResponseSchema,
} from "@kedge/proto";
import type { Cluster } from "@kedge/scheduler";
import { addDemandOptions, asksForSomething, compileDemand, type DemandOptions } from "../demand-options.ts";
import { failOnErrors } from "../fail-on-errors.ts";
import { clusterOf, parseNodes } from "../node-file.ts";
import { planCopies, planPipelineFile } from "../offline-plan.ts";
import { keyValue, positiveInteger, readInput } from "../options.ts";
import type { Output } from "../output/output.ts";
import { pipelinePlanView, planView } from "../output/scheduling-views.ts";
import { ExitRequest } from "../print-error.ts";
import { addRemote, type CommandGroup, type Session } from "../session.ts";
import { named } from "./pipeline.ts";

interface PlanOptions extends DemandOptions {
  readonly file?: string;
  readonly param?: Readonly<Record<string, string>>;
  readonly count?: number;
  readonly nodes?: string;
}

const DEFAULT_COUNT = 1;

/** `kedge plan` */
export const planCommand: CommandGroup = (program, host) => {
  addRemote<PlanOptions>(program, host, {
    usage: "plan",
    description: "what if: show where a demand, or the jobs of a pipeline, would go now; exit 9 if it goes nowhere",
    options: (command) =>
      addDemandOptions(command)
        .option("--count <copies>", "how many of it", positiveInteger)
        .option("-f, --file <path>", "plan a pipeline file instead; - is standard input")
        .option("-p, --param <key=value>", "parameter of the pipeline; may be repeated", keyValue)
        .option("--nodes <path>", "plan on the nodes of a file, without a controller"),
    examples: [
      "kedge plan --gpu 2 --memory 8Gi --count 3",
      'kedge plan --gpu-share 0.5 --gpu-memory 20Gi --require "zone in (a, b)" --spread zone --count 4',
      "kedge plan -f kedge.yaml -p model=digits",
      "kedge get nodes --json > nodes.json; kedge plan --nodes nodes.json --cpu 16",
      "",
      "A file for --nodes may be written by hand, in the words of a pipeline file:",
      "  - { id: gpu, count: 4, labels: { zone: a }, resources: { cpu: 64, memory: 256Gi, gpu: { count: 8, memory: 40Gi } } }",
      "  - { id: busy, resources: { cpu: 16, memory: 64Gi }, reserved: { cpu: 12 } }",
    ],
    local: (output, options) => (options.nodes === undefined ? undefined : planOffline(output, options, options.nodes)),
    run: plan,
  });
};

async function plan({ client, output }: Session, _args: readonly string[], options: PlanOptions): Promise<void> {
  const what = subjectOf(options);
  if (what.kind === "demand") {
    showCopies(
      output,
      await client.scheduling.planDemand({ ...compileDemand(options), count: what.count }),
      what.count,
    );
    return;
  }
  const { file, parameters } = what;
  showPipeline(output, await client.pipelines.planPipeline({ source: await readInput(file), parameters }), file);
}

async function planOffline(output: Output, options: PlanOptions, nodes: string): Promise<void> {
  const what = subjectOf(options);
  const cluster: Cluster = clusterOf(parseNodes(await readInput(nodes), nodes));
  if (what.kind === "demand") {
    showCopies(output, planCopies(cluster, compileDemand(options), what.count), what.count);
    return;
  }
  showPipeline(output, planPipelineFile(cluster, await readInput(what.file), what.parameters), what.file);
}

type Subject =
  | { readonly kind: "demand"; readonly count: number }
  | { readonly kind: "pipeline"; readonly file: string; readonly parameters: Readonly<Record<string, string>> };

function subjectOf(options: PlanOptions): Subject {
  const { file, param: parameters = {}, count } = options;
  const isDemand = asksForSomething(options);
  if (file !== undefined) {
    if (!isDemand && count === undefined) return { kind: "pipeline", file, parameters };
    throw new KedgeError("INVALID_OPTION", "a pipeline file says itself what its jobs ask for", {
      field: "-f",
      hint: "Give either -f, or options such as --cpu and --count.",
    });
  }
  if (isDemand) return { kind: "demand", count: count ?? DEFAULT_COUNT };
  throw new KedgeError("INVALID_OPTION", "say what to plan", {
    hint: "Give e.g. --cpu 4 --memory 8Gi, or a pipeline file with -f; see kedge plan --help.",
  });
}

function showCopies(output: Output, response: PlanDemandResponse, count: number): void {
  output.show(PlanDemandResponseSchema, response, planView);
  const placed = response.placements.filter(({ chosenNodeId }) => chosenNodeId !== "").length;
  if (placed === count) return;
  output.progress(`room for ${placed} of ${count}`);
  throw new ExitRequest("unplaced");
}

function showPipeline(output: Output, response: PlanPipelineResponse, file: string): void {
  if (output.json) output.show(PlanPipelineResponseSchema, response, () => []);
  failOnErrors(output, named(response.diagnostics, file));
  if (!output.json) output.view(pipelinePlanView(response));
  const unplaced = Object.entries(response.placements).filter(([, { chosenNodeId }]) => chosenNodeId === "");
  if (unplaced.length === 0) return;
  output.progress(`no room now for: ${unplaced.map(([job]) => job).join(", ")}`);
  throw new ExitRequest("unplaced");
}
