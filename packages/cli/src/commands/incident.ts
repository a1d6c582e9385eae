import { create } from "@bufbuild/protobuf";
import { collect } from "@kedge/client";
import {
  AcknowledgeIncidentResponseSchema,
  GetIncidentResponseSchema,
  type Incident,
  IncidentState,
  ListIncidentsResponseSchema,
  ResolveIncidentResponseSchema,
  WatchIncidentsResponseSchema,
} from "@kedge/proto";
import type { Command } from "commander";
import { argument, positiveInteger } from "../options.ts";
import { incidentLine, incidentTable, incidentView } from "../output/incident-views.ts";
import type { View } from "../output/output.ts";
import { addRemote, type CommandGroup } from "../session.ts";

const PAGE_SIZE = 100;
const DEFAULT_LIMIT = 50;

interface Filter {
  readonly open?: boolean;
  readonly deployment?: string;
  readonly node?: string;
  readonly limit?: number;
}

const view = ({ incident }: { readonly incident?: Incident | undefined }): View =>
  incident === undefined ? [] : incidentView(incident);

const filterOptions = (command: Command): Command =>
  command.option("--deployment <name>", "about this deployment").option("--node <node>", "about this node");

/** `kedge incident ...` */
export const incidentCommands: CommandGroup = (program, host) => {
  const incident = program.command("incident").description("what went wrong, since when, and why");
  addRemote<Filter>(incident, host, {
    usage: "list",
    description: "list incidents, newest first",
    options: (command) =>
      filterOptions(command.option("--open", "only those that are not over")).option(
        "--limit <count>",
        `most incidents; default ${DEFAULT_LIMIT}`,
        positiveInteger,
      ),
    examples: [
      "kedge incident list --open",
      "kedge incident list --deployment vad --json | jq '.incidents[].causes[0]'",
    ],
    run: async ({ client, output }, _args, { open, deployment = "", node: nodeId = "", limit = DEFAULT_LIMIT }) => {
      const state = open ? IncidentState.OPEN : IncidentState.UNSPECIFIED;
      const pageSize = Math.min(limit, PAGE_SIZE);
      const list = (pageToken: string) =>
        client.incidents.listIncidents({ state, deployment, nodeId, pageSize, pageToken });
      const incidents = await collect(list, (page) => page.incidents, limit);
      output.show(ListIncidentsResponseSchema, create(ListIncidentsResponseSchema, { incidents }), () =>
        incidents.length === 0 ? [open ? "nothing is wrong" : "no incidents"] : [incidentTable(incidents)],
      );
    },
  });
  addRemote(incident, host, {
    usage: "get <incident>",
    description: "show an incident: its graphs, likely causes, and what Kedge did",
    examples: ["kedge incident get 01JD…"],
    run: async ({ client, output }, args) =>
      output.show(GetIncidentResponseSchema, await client.incidents.getIncident({ id: argument(args, 0) }), view),
  });
  const acknowledge = addRemote(incident, host, {
    usage: "acknowledge <incident>",
    description: "say that somebody looks after it",
    examples: ["kedge incident ack 01JD…"],
    run: async ({ client, output }, args) => {
      const response = await client.incidents.acknowledgeIncident({ id: argument(args, 0) });
      output.show(AcknowledgeIncidentResponseSchema, response, view);
    },
  });
  acknowledge.alias("ack");
  addRemote(incident, host, {
    usage: "resolve <incident>",
    description: "close it; the same trouble does not open it again",
    examples: ["kedge incident resolve 01JD…"],
    run: async ({ client, output }, args) => {
      const response = await client.incidents.resolveIncident({ id: argument(args, 0) });
      output.show(ResolveIncidentResponseSchema, response, view);
    },
  });
  addRemote<Filter>(incident, host, {
    usage: "watch",
    description: "print what is open, then every change, one line each, until interrupted",
    options: filterOptions,
    examples: ["kedge incident watch", "kedge incident watch --json | jq -c '.incident | {id, state, summary}'"],
    run: async ({ client, output, signal }, _args, { deployment = "", node: nodeId = "" }) => {
      for await (const message of client.incidents.watchIncidents({ deployment, nodeId }, { signal })) {
        output.item(WatchIncidentsResponseSchema, message, ({ incident: one }) =>
          one === undefined ? [] : [incidentLine(one)],
        );
      }
    },
  });
};
