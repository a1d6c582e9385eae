import { RebalanceResponseSchema } from "@kedge/proto";
import { positiveInteger } from "../options.ts";
import { rebalanceView } from "../output/scheduling-views.ts";
import { addRemote, type CommandGroup } from "../session.ts";

/** `kedge rebalance` */
export const rebalanceCommand: CommandGroup = (program, host) => {
  addRemote<{ maxMoves?: number; apply?: boolean }>(program, host, {
    usage: "rebalance",
    description: "bring free room together by moving few replicas; shows the plan unless told to apply it",
    options: (command) =>
      command
        .option("--max-moves <count>", "most replicas to move; default 5, at most 100", positiveInteger)
        .option("--apply", "move them: each starts on its new node before it ends on the old one"),
    examples: ["kedge rebalance", "kedge rebalance --max-moves 20 --apply"],
    run: async ({ client, output }, _args, { maxMoves = 0, apply = false }) => {
      const response = await client.scheduling.rebalance({ maxMoves, apply });
      output.show(RebalanceResponseSchema, response, rebalanceView);
      if (response.moves.length === 0) return;
      output.progress(apply ? "moving; kedge get deployments shows how far it is" : "nothing was moved: give --apply");
    },
  });
};
