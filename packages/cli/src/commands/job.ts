import { AddJobsResponseSchema, ExplainJobResponseSchema } from "@kedge/proto";
import { argument, readInput } from "../options.ts";
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
  addRemote<{ key?: string }>(job, host, {
    usage: "add <file>",
    description: "add jobs to the run that this step is part of; for steps of jobs with adds-jobs",
    options: (command) =>
      command.option("--key <text>", "what makes the same call add nothing twice; default: the file's digest"),
    examples: ["./plan-shards > jobs.yaml; kedge job add jobs.yaml", "./plan-shards | kedge job add -"],
    run: async ({ client, output }, args, { key: idempotencyKey = "" }) => {
      const source = await readInput(argument(args, 0));
      const response = await client.runs.addJobs({ source, idempotencyKey });
      output.show(AddJobsResponseSchema, response, ({ jobs }) => jobs.map((name) => `added ${name}`));
    },
  });
};
