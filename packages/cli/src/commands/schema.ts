import {
  alertPolicyJsonSchema,
  deploymentJsonSchema,
  pipelineJsonSchema,
  schedulingPolicyJsonSchema,
} from "@kedge/pipeline";
import { flagJsonSchema } from "@kedge/pipeline/flags";
import { repositoryJsonSchema } from "@kedge/pipeline/forge";
import { Argument, Command } from "commander";
import { type CommandGroup, createOutput } from "../session.ts";

const SCHEMAS = {
  pipeline: pipelineJsonSchema,
  deployment: deploymentJsonSchema,
  "scheduling-policy": schedulingPolicyJsonSchema,
  "alert-policy": alertPolicyJsonSchema,
  flag: flagJsonSchema,
  repository: repositoryJsonSchema,
} as const;

type Kind = keyof typeof SCHEMAS;

const EXAMPLES = `
Examples:
  kedge schema pipeline > .kedge-schema.json
  # and at the top of kedge.yaml, for editors that know the YAML language server:
  # yaml-language-server: $schema=.kedge-schema.json`;

/** `kedge schema` */
export const schemaCommand: CommandGroup = (program, host) => {
  const command = new Command("schema")
    .description("print the JSON Schema of a kind of file, for editors")
    .addArgument(new Argument("<kind>").choices(Object.keys(SCHEMAS)))
    .addHelpText("after", EXAMPLES)
    .action((kind: Kind) => createOutput(host, true).raw(JSON.stringify(SCHEMAS[kind](), undefined, 2)));
  program.addCommand(command);
};
