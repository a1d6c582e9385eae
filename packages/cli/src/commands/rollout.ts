import {
  AbortRolloutResponseSchema,
  type Deployment,
  GetDeploymentResponseSchema,
  PauseRolloutResponseSchema,
  PromoteRolloutResponseSchema,
  ResumeRolloutResponseSchema,
  RetryRolloutResponseSchema,
  RollbackDeploymentResponseSchema,
} from "@kedge/proto";
import type { Command } from "commander";
import { argument, positiveInteger } from "../options.ts";
import type { View } from "../output/output.ts";
import { historyView, rolloutView } from "../output/rollout-views.ts";
import { deploymentTable } from "../output/views.ts";
import { waitForRollout, watchDeployment } from "../rollout-progress.ts";
import { addRemote, type CommandGroup, type Session } from "../session.ts";

interface WaitOption {
  readonly wait?: boolean;
}

const view = ({ deployment }: { readonly deployment?: Deployment | undefined }): View =>
  deployment === undefined ? [] : [deploymentTable([deployment]), ...rolloutView(deployment)];

/** `kedge rollout ...` */
export const rolloutCommands: CommandGroup = (program, host) => {
  const rollout = program.command("rollout").description("the way from one revision of a deployment to the next");
  const add = <T extends object>(
    usage: string,
    description: string,
    act: (session: Session, deployment: string, options: T) => Promise<void>,
    options: (command: Command) => void = () => {},
  ): void => {
    addRemote<T & WaitOption>(rollout, host, {
      usage,
      description,
      options: (command) => {
        options(command);
        command.option("-w, --wait", "wait for the rollout's end; exit 4 when it is rolled back");
      },
      run: async (session, args, all) => {
        await act(session, argument(args, 0), all);
        if (all.wait) await waitForRollout(session, argument(args, 0));
      },
    });
  };
  add("status <deployment>", "show where a rollout is and how it came there", async ({ client, output }, name) =>
    output.show(GetDeploymentResponseSchema, await client.deployments.getDeployment({ name }), view),
  );
  add("promote <deployment>", "pass a manual step, or skip the rest of one", async ({ client, output }, deployment) =>
    output.show(PromoteRolloutResponseSchema, await client.deployments.promoteRollout({ deployment }), view),
  );
  add("pause <deployment>", "keep the traffic as it is", async ({ client, output }, deployment) =>
    output.show(PauseRolloutResponseSchema, await client.deployments.pauseRollout({ deployment }), view),
  );
  add("resume <deployment>", "go on after a pause", async ({ client, output }, deployment) =>
    output.show(ResumeRolloutResponseSchema, await client.deployments.resumeRollout({ deployment }), view),
  );
  add<{ reason?: string }>(
    "abort <deployment>",
    "send the traffic back to the old revision",
    async ({ client, output }, deployment, { reason = "" }) =>
      output.show(AbortRolloutResponseSchema, await client.deployments.abortRollout({ deployment, reason }), view),
    (command) => command.option("--reason <text>", "why"),
  );
  add<{ to?: number }>(
    "rollback <deployment>",
    "return to an earlier revision",
    async ({ client, output }, deployment, { to: revision = 0 }) => {
      const response = await client.deployments.rollbackDeployment({ deployment, revision });
      output.show(RollbackDeploymentResponseSchema, response, view);
    },
    (command) => command.option("--to <revision>", "default: the one that was stable before", positiveInteger),
  );
  add<{ revision?: number }>(
    "retry <deployment>",
    "roll a version that was rolled back out again, by its steps",
    async ({ client, output }, deployment, { revision = 0 }) => {
      const response = await client.deployments.retryRollout({ deployment, revision });
      output.show(RetryRolloutResponseSchema, response, view);
    },
    (command) => command.option("--revision <number>", "default: the newest that was rolled back", positiveInteger),
  );
  addRemote(rollout, host, {
    usage: "watch <deployment>",
    description: "print what a rollout waits for and the judge's evidence, as they change, until interrupted",
    examples: ["kedge rollout watch vad"],
    run: (session, args) => watchDeployment(session, argument(args, 0)),
  });
  addRemote(rollout, host, {
    usage: "history <deployment>",
    description: "show all rollouts that are kept, with the reason of every move",
    examples: [
      "kedge rollout history vad",
      "kedge rollout history vad --json | jq '.deployment.history[].transitions'",
    ],
    run: async ({ client, output }, args) =>
      output.show(
        GetDeploymentResponseSchema,
        await client.deployments.getDeployment({ name: argument(args, 0) }),
        ({ deployment }) => (deployment === undefined ? [] : historyView(deployment)),
      ),
  });
};
