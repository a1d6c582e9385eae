import { Argument, Command } from "commander";
import { type CompletionEntry, completionEntries, completionScript, SHELLS } from "../completion-scripts.ts";
import { argument } from "../options.ts";
import { addRemote, type CommandGroup, createOutput, type Session } from "../session.ts";

const PAGE = { pageSize: 100 };

const NAMES: Readonly<Record<string, (session: Session) => Promise<string[]>>> = {
  nodes: async ({ client }) => (await client.nodes.listNodes(PAGE)).nodes.map((node) => node.id),
  runs: async ({ client }) => (await client.runs.listRuns(PAGE)).runs.map((run) => run.id),
  deployments: async ({ client }) => (await client.deployments.listDeployments(PAGE)).deployments.map((d) => d.name),
  flags: async ({ client }) => (await client.flags.listFlags(PAGE)).flags.map(({ name }) => name),
  incidents: async ({ client }) => (await client.incidents.listIncidents(PAGE)).incidents.map(({ id }) => id),
  models: async ({ client }) => (await client.models.listModels(PAGE)).models.map((model) => model.name),
  receivers: async ({ client }) =>
    ((await client.alerts.getAlertPolicy({})).policy?.receivers ?? []).map(({ name }) => name),
  silences: async ({ client }) => ((await client.alerts.getAlertPolicy({})).policy?.silences ?? []).map(({ id }) => id),
  secrets: async ({ client }) => (await client.secrets.listSecrets(PAGE)).secrets.map(({ name }) => name),
  components: async ({ client }) => [
    ...new Set((await client.components.listComponents(PAGE)).components.map(({ name }) => name)),
  ],
  pipelines: async ({ client }) => (await client.pipelines.listPipelines(PAGE)).pipelines.map((p) => p.name),
};

/** `kedge completion`, and the hidden command its scripts ask for names. */
export const completionCommands: CommandGroup = (program, host) => {
  const command = new Command("completion")
    .description("print the completion script of a shell; source it in the shell's start-up file")
    .addArgument(new Argument("<shell>").choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => {
      const entries: CompletionEntry[] = completionEntries(program);
      createOutput(host, false).raw(completionScript(shell, entries).trimEnd());
    });
  program.addCommand(command);
  const ask = addRemote(new Command(), host, {
    usage: "__complete <kind>",
    description: "names of a kind, one a line",
    run: async (session, args) => {
      const names = await NAMES[argument(args, 0)]?.(session);
      // What is offered becomes words of a shell command.
      for (const name of names ?? []) if (/^[A-Za-z0-9_-]+$/.test(name)) session.output.raw(name);
    },
  });
  program.addCommand(ask, { hidden: true });
};
