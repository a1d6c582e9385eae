import { newId, systemClock } from "@kedge/kernel";
import { parseDeployment } from "@kedge/pipeline";
import { ApplyDeploymentResponseSchema } from "@kedge/proto";
import { readInput } from "../options.ts";
import { safeText } from "../output/text.ts";
import { deploymentView } from "../output/views.ts";
import { ExitRequest } from "../print-error.ts";
import { waitForRollout } from "../rollout-progress.ts";
import { addRemote, type CommandGroup } from "../session.ts";

interface ApplyOptions {
  readonly file: string;
  readonly forceRevision?: boolean;
  readonly wait?: boolean;
}

/** `kedge apply` */
export const applyCommand: CommandGroup = (program, host) => {
  addRemote<ApplyOptions>(program, host, {
    usage: "apply",
    description: "make the world match a deployment file",
    options: (command) =>
      command
        .requiredOption("-f, --file <path>", "deployment file; - is standard input")
        .option("--force-revision", "make a new revision even of the same template")
        .option("-w, --wait", "wait for the rollout; exit 4 when it is rolled back"),
    run: async (session, _args, { file, forceRevision = false, wait = false }) => {
      const { client, output } = session;
      const { spec, diagnostics } = parseDeployment(await readInput(file), { file });
      output.diagnostics(diagnostics);
      if (spec === undefined) throw new ExitRequest("usage");
      const response = await client.deployments.applyDeployment({
        spec,
        forceRevision,
        idempotencyKey: newId(systemClock),
      });
      output.show(ApplyDeploymentResponseSchema, response, ({ deployment, changed, heldBack }) => [
        heldBack === "" ? (changed ? "applied" : "nothing to change") : `held back: ${safeText(heldBack)}`,
        ...(deployment === undefined ? [] : deploymentView(deployment)),
      ]);
      if (wait && response.heldBack !== "") throw new ExitRequest("rolledBack");
      if (wait && response.changed) await waitForRollout(session, spec.name);
    },
  });
};
