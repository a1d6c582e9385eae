import { ListTeamsResponseSchema } from "@kedge/proto";
import { teamTable } from "../output/scheduling-views.ts";
import { addRemote, type CommandGroup } from "../session.ts";

/** `kedge team ...` */
export const teamCommands: CommandGroup = (program, host) => {
  const team = program.command("team").description("teams that share the nodes");
  addRemote(team, host, {
    usage: "list",
    description: "list teams: share, part of the use so far, what they hold and their quotas",
    examples: ["kedge team list", "kedge policy apply -f policy.yaml    # sets shares and quotas"],
    run: async ({ client, output }) =>
      output.show(ListTeamsResponseSchema, await client.scheduling.listTeams({}), ({ teams }) => [teamTable(teams)]),
  });
};
