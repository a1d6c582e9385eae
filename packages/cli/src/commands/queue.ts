import { create } from "@bufbuild/protobuf";
import { collect } from "@kedge/client";
import { ListQueueResponseSchema } from "@kedge/proto";
import { positiveInteger } from "../options.ts";
import { queueTable } from "../output/scheduling-views.ts";
import { addRemote, type CommandGroup } from "../session.ts";

const PAGE_SIZE = 200;

/** `kedge queue` */
export const queueCommand: CommandGroup = (program, host) => {
  addRemote<{ team?: string; limit?: number }>(program, host, {
    usage: "queue",
    description: "list the jobs that wait for room, in the order they get it, and why they wait",
    options: (command) =>
      command.option("--team <team>", "of this team").option("--limit <count>", "most jobs", positiveInteger),
    examples: ["kedge queue", "kedge queue --team vision", "kedge job why <run> <job>    # all about one of them"],
    run: async ({ client, output }, _args, { team = "", limit }) => {
      const pageSize = Math.min(limit ?? PAGE_SIZE, PAGE_SIZE);
      const list = (pageToken: string) => client.scheduling.listQueue({ pageSize, pageToken, team });
      const entries = await collect(list, (page) => page.entries, limit);
      const all = create(ListQueueResponseSchema, { entries });
      output.show(ListQueueResponseSchema, all, () =>
        entries.length === 0 ? ["no job waits for room"] : [queueTable(entries)],
      );
    },
  });
};
