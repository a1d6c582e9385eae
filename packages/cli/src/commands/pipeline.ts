import { newId, systemClock } from "@kedge/kernel";
import {
  ApplyPipelineResponseSchema,
  DeletePipelineResponseSchema,
  type Diagnostic,
  GetPipelineResponseSchema,
  LintPipelineResponseSchema,
  PlanPipelineResponseSchema,
} from "@kedge/proto";
import { failOnErrors } from "../fail-on-errors.ts";
import { LISTINGS } from "../listings.ts";
import { argument, keyValue, readInput } from "../options.ts";
import { pipelinePlanView } from "../output/scheduling-views.ts";
import { pipelineTable } from "../output/views.ts";
import { addRemote, type CommandGroup } from "../session.ts";

interface FileOption {
  readonly file: string;
}

/** `kedge pipeline ...` */
export const pipelineCommands: CommandGroup = (program, host) => {
  const pipeline = program.command("pipeline").description("pipelines kept by the controller, and pipeline files");
  const withFile = (command: { option(flags: string, description: string, standard: string): unknown }): void => {
    command.option("-f, --file <path>", "pipeline file; - is standard input", "kedge.yaml");
  };
  addRemote<FileOption>(pipeline, host, {
    usage: "apply",
    description: "keep a pipeline under its name",
    options: withFile,
    run: async ({ client, output }, _args, { file }) => {
      const source = await readInput(file);
      const response = await client.pipelines.applyPipeline({ source, idempotencyKey: newId(systemClock) });
      output.diagnostics(named(response.diagnostics, file));
      output.show(ApplyPipelineResponseSchema, response, (r) =>
        r.pipeline === undefined ? [] : [pipelineTable([r.pipeline])],
      );
    },
  });
  addRemote<FileOption>(pipeline, host, {
    usage: "lint",
    description: "check a pipeline file",
    options: withFile,
    run: async ({ client, output }, _args, { file }) => {
      const response = await client.pipelines.lintPipeline({ source: await readInput(file), file });
      if (output.json) output.show(LintPipelineResponseSchema, response, () => []);
      failOnErrors(output, response.diagnostics);
      output.progress(`${file}: no errors`);
    },
  });
  addRemote<FileOption & { param?: Record<string, string> }>(pipeline, host, {
    usage: "plan",
    description: "show what a run would be and where its jobs would go now",
    options: (command) => {
      withFile(command);
      command.option("-p, --param <key=value>", "parameter; may be repeated", keyValue);
    },
    run: async ({ client, output }, _args, { file, param = {} }) => {
      const response = await client.pipelines.planPipeline({ source: await readInput(file), parameters: param });
      if (output.json) output.show(PlanPipelineResponseSchema, response, () => []);
      failOnErrors(output, named(response.diagnostics, file));
      if (!output.json) output.view(pipelinePlanView(response));
    },
  });
  addRemote(pipeline, host, {
    usage: "list",
    description: "list pipelines",
    run: (session) => LISTINGS.pipelines(session),
  });
  addRemote(pipeline, host, {
    usage: "get <pipeline>",
    description: "print a pipeline's file",
    run: async ({ client, output }, args) => {
      const response = await client.pipelines.getPipeline({ name: argument(args, 0) });
      output.show(GetPipelineResponseSchema, response, (r) => [r.pipeline?.source.trimEnd() ?? ""]);
    },
  });
  addRemote(pipeline, host, {
    usage: "delete <pipeline>",
    description: "forget a pipeline; its runs stay",
    run: async ({ client, output }, args) => {
      const name = argument(args, 0);
      output.show(DeletePipelineResponseSchema, await client.pipelines.deletePipeline({ name }), () => [
        `deleted ${name}`,
      ]);
    },
  });
};

/** The server does not know the file's name when the request has no field for it. */
export function named(diagnostics: readonly Diagnostic[], file: string): Diagnostic[] {
  return diagnostics.map((diagnostic) => ({ ...diagnostic, file }));
}
