import { create } from "@bufbuild/protobuf";
import { collect } from "@kedge/client";
import { DeleteCacheResponseSchema, ListCachesResponseSchema } from "@kedge/proto";
import { argument } from "../options.ts";
import { cacheTable } from "../output/file-views.ts";
import { addRemote, type CommandGroup } from "../session.ts";

/** `kedge cache ...` */
export const cacheCommands: CommandGroup = (program, host) => {
  const cache = program.command("cache").description("folders that jobs begin with");
  addRemote(cache, host, {
    usage: "list [pipeline]",
    description: "list caches, of one pipeline or all, those used last first",
    run: async ({ client, output }, [scope = ""]) => {
      const list = (pageToken: string) => client.artifacts.listCaches({ pageSize: 200, pageToken, scope });
      const all = create(ListCachesResponseSchema, { entries: await collect(list, (page) => page.entries) });
      output.show(ListCachesResponseSchema, all, ({ entries }) => [cacheTable(entries)]);
    },
  });
  addRemote<{ key?: string }>(cache, host, {
    usage: "delete <pipeline>",
    description: "delete a pipeline's caches; jobs begin without",
    options: (command) => command.option("--key <key>", "only those of this key"),
    examples: ["kedge cache delete shop", "kedge cache delete shop --key npm-4f2a"],
    run: async ({ client, output }, args, { key = "" }) => {
      const response = await client.artifacts.deleteCache({ scope: argument(args, 0), key });
      output.show(DeleteCacheResponseSchema, response, ({ deleted }) => [`deleted ${deleted} caches`]);
    },
  });
};
