import { ExplainJobResponseSchema } from "@kedge/proto";
import { argument } from "../options.ts";
import { jobWhyView } from "../output/scheduling-views.ts";
import { addRemote, type CommandGroup } from "../session.ts";

/** `kedge job ...` */
export const jobCommands: CommandGroup = (program, host) => {
  const job = program.command("job").description("single jobs of runs");
  addRemote(job, host, {
    usage: "why <run> <job>",
    description: "say why a job waits or is where it is: every node's part in it, and what would change it",
    examples: ["kedge job why 01JD… train", "kedge job why 01JD… train --json | jq '.explanation.rejections'"],
    run: async ({ client, output }, args) => {
      const response = await client.scheduling.explainJob({ runId: argument(args, 0), job: argument(args, 1) });
      output.show(ExplainJobResponseSchema, response, jobWhyView);
    },
  });
};
