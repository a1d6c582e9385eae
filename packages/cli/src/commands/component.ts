import { create } from "@bufbuild/protobuf";
import { collect } from "@kedge/client";
import { parseComponent } from "@kedge/pipeline";
import {
  type Component,
  GetComponentResponseSchema,
  ListComponentsResponseSchema,
  PushComponentResponseSchema,
} from "@kedge/proto";
import { failOnErrors } from "../fail-on-errors.ts";
import { argument, positiveInteger, readInput } from "../options.ts";
import type { Table } from "../output/table.ts";
import { safeText } from "../output/text.ts";
import { addRemote, type CommandGroup } from "../session.ts";

const PAGE_SIZE = 100;
const DEFAULT_LIMIT = 50;

/** `kedge component ...` */
export const componentCommands: CommandGroup = (program, host) => {
  const component = program.command("component").description("steps that pipelines share, pinned by their digest");
  addRemote(component, host, {
    usage: "push <file>",
    description: "keep a component file; pipelines use it as <name>@sha256:<digest>",
    examples: ["kedge component push lint.yaml", "kedge component push lint.yaml --json | jq -r .component.digest"],
    run: async ({ client, output }, args) => {
      const file = argument(args, 0);
      const source = await readInput(file);
      failOnErrors(output, parseComponent(source, file).diagnostics);
      const response = await client.components.pushComponent({ source });
      output.show(PushComponentResponseSchema, response, (r) => (r.component ? [useOf(r.component)] : []));
    },
  });
  addRemote<{ name?: string; limit?: number }>(component, host, {
    usage: "list",
    description: "list components, the newest of each name first",
    options: (command) =>
      command
        .option("--name <name>", "only of this name")
        .option("--limit <count>", `most components; default ${DEFAULT_LIMIT}`, positiveInteger),
    examples: ["kedge component list --name lint"],
    run: async ({ client, output }, _args, { name = "", limit = DEFAULT_LIMIT }) => {
      const pageSize = Math.min(limit, PAGE_SIZE);
      const list = (pageToken: string) => client.components.listComponents({ name, pageSize, pageToken });
      const components = await collect(list, (page) => page.components, limit);
      output.show(ListComponentsResponseSchema, create(ListComponentsResponseSchema, { components }), () =>
        components.length === 0 ? ["no components"] : [componentTable(components)],
      );
    },
  });
  addRemote<{ digest?: string }>(component, host, {
    usage: "get <component>",
    description: "print a component's file",
    options: (command) => command.option("--digest <hex>", "or a prefix of it; default: the newest"),
    examples: ["kedge component get lint > lint.yaml"],
    run: async ({ client, output }, args, { digest = "" }) => {
      const response = await client.components.getComponent({ name: argument(args, 0), digest });
      output.show(GetComponentResponseSchema, response, (r) => [r.component?.source.trimEnd() ?? ""]);
    },
  });
};

function useOf({ name, digest }: Component): string {
  return `${name}@sha256:${digest}`;
}

function componentTable(components: readonly Component[]): Table {
  return {
    columns: ["USE", "INPUTS", "BY", "DESCRIPTION"],
    rows: components.map((component) => [
      useOf(component),
      component.inputs.map(({ name }) => name).join(" ") || "-",
      component.pushedBy,
      safeText(component.description),
    ]),
  };
}
