import {
  DeleteDeploymentResponseSchema,
  ExplainDeploymentResponseSchema,
  GetDeploymentResponseSchema,
} from "@kedge/proto";
import { LISTINGS } from "../listings.ts";
import { argument } from "../options.ts";
import { safeText } from "../output/text.ts";
import { deploymentView } from "../output/views.ts";
import { watchDeployment } from "../rollout-progress.ts";
import { addRemote, type CommandGroup } from "../session.ts";

/** `kedge deployment ...` */
export const deploymentCommands: CommandGroup = (program, host) => {
  const deployment = program.command("deployment").description("models and images that are served");
  addRemote(deployment, host, {
    usage: "list",
    description: "list deployments",
    run: (session) => LISTINGS.deployments(session),
  });
  addRemote(deployment, host, {
    usage: "get <deployment>",
    description: "show a deployment, its replicas and its rollout",
    run: async ({ client, output }, args) => {
      const response = await client.deployments.getDeployment({ name: argument(args, 0) });
      const view = (r: typeof response) => (r.deployment === undefined ? [] : deploymentView(r.deployment));
      output.show(GetDeploymentResponseSchema, response, view);
    },
  });
  addRemote(deployment, host, {
    usage: "watch <deployment>",
    description: "print a deployment's changes until interrupted",
    run: (session, args) => watchDeployment(session, argument(args, 0)),
  });
  addRemote(deployment, host, {
    usage: "delete <deployment>",
    description: "stop serving a deployment and forget it",
    run: async ({ client, output }, args) => {
      const name = argument(args, 0);
      const response = await client.deployments.deleteDeployment({ name });
      output.show(DeleteDeploymentResponseSchema, response, () => [`deleted ${name}`]);
    },
  });
  addRemote(deployment, host, {
    usage: "explain <deployment>",
    description: "say what is going on, why, and what would change it",
    run: async ({ client, output }, args) => {
      const response = await client.deployments.explainDeployment({ name: argument(args, 0) });
      output.show(ExplainDeploymentResponseSchema, response, ({ lines }) => lines.map(safeText));
    },
  });
};
