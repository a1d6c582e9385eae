import {
  CordonNodeResponseSchema,
  DrainNodeResponseSchema,
  GetNodeResponseSchema,
  type Node,
  QuarantineNodeResponseSchema,
  ReleaseNodeResponseSchema,
  RemoveNodeResponseSchema,
  UncordonNodeResponseSchema,
} from "@kedge/proto";
import { LISTINGS } from "../listings.ts";
import { argument, span } from "../options.ts";
import type { View } from "../output/output.ts";
import { nodeTable, nodeView } from "../output/views.ts";
import { addRemote, type CommandGroup } from "../session.ts";

interface QuarantineOptions {
  readonly reason: string;
  readonly for?: number;
  readonly endTasks?: boolean;
}

const changed = ({ node }: { readonly node?: Node | undefined }): View =>
  node === undefined ? [] : [nodeTable([node])];

/** `kedge node ...` */
export const nodeCommands: CommandGroup = (program, host) => {
  const node = program.command("node").description("machines that run jobs and serve models");
  addRemote(node, host, { usage: "list", description: "list nodes", run: (session) => LISTINGS.nodes(session) });
  addRemote(node, host, {
    usage: "get <node>",
    description: "show a node and what runs on it",
    run: async ({ client, output }, args) => {
      const response = await client.nodes.getNode({ nodeId: argument(args, 0) });
      output.show(GetNodeResponseSchema, response, (r) => (r.node === undefined ? [] : nodeView(r.node)));
    },
  });
  addRemote(node, host, {
    usage: "cordon <node>",
    description: "place nothing new on a node",
    run: async ({ client, output }, args) =>
      output.show(CordonNodeResponseSchema, await client.nodes.cordonNode({ nodeId: argument(args, 0) }), changed),
  });
  addRemote(node, host, {
    usage: "uncordon <node>",
    description: "place on a node again",
    run: async ({ client, output }, args) =>
      output.show(UncordonNodeResponseSchema, await client.nodes.uncordonNode({ nodeId: argument(args, 0) }), changed),
  });
  addRemote(node, host, {
    usage: "drain <node>",
    description: "cordon a node and move its replicas away; running tasks finish",
    run: async ({ client, output }, args) =>
      output.show(DrainNodeResponseSchema, await client.nodes.drainNode({ nodeId: argument(args, 0) }), changed),
  });
  addRemote<QuarantineOptions>(node, host, {
    usage: "quarantine <node>",
    description: "set a sick node aside: nothing new is placed on it, replicas move off without a gap",
    options: (command) =>
      command
        .requiredOption("--reason <text>", "why; people whose work waits for the node read it")
        .option("--for <span>", "probation begins after this, e.g. 2h; without it the node stays until released", span)
        .option("--end-tasks", "end its tasks and try them elsewhere, instead of letting them go on"),
    examples: ['kedge node quarantine edge-2 --reason "disk errors" --for 2h', "kedge node release edge-2"],
    run: async ({ client, output }, args, options) => {
      const response = await client.nodes.quarantineNode({
        nodeId: argument(args, 0),
        reason: options.reason,
        endTasks: options.endTasks === true,
        ...(options.for === undefined ? {} : { duration: { seconds: BigInt(options.for) } }),
      });
      output.show(QuarantineNodeResponseSchema, response, changed);
    },
  });
  addRemote(node, host, {
    usage: "release <node>",
    description: "end a node's quarantine or probation and forgive what it did",
    run: async ({ client, output }, args) =>
      output.show(ReleaseNodeResponseSchema, await client.nodes.releaseNode({ nodeId: argument(args, 0) }), changed),
  });
  addRemote(node, host, {
    usage: "remove <node>",
    description: "revoke a node's credentials and forget it",
    run: async ({ client, output }, args) => {
      const nodeId = argument(args, 0);
      output.show(RemoveNodeResponseSchema, await client.nodes.removeNode({ nodeId }), () => [`removed ${nodeId}`]);
    },
  });
};
