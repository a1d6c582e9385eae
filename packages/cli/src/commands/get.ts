import { KedgeError } from "@kedge/domain";
import { LISTINGS } from "../listings.ts";
import { argument } from "../options.ts";
import { addRemote, type CommandGroup } from "../session.ts";
import { printEvents } from "./events.ts";

const KINDS = [...Object.keys(LISTINGS), "events"];

const isListed = (kind: string): kind is keyof typeof LISTINGS => Object.hasOwn(LISTINGS, kind);

/** `kedge get` */
export const getCommand: CommandGroup = (program, host) => {
  addRemote(program, host, {
    usage: "get <kind>",
    description: `list ${KINDS.join(", ")}`,
    run: async (session, args) => {
      const kind = argument(args, 0);
      if (kind === "events") return printEvents(session, {});
      if (isListed(kind)) return LISTINGS[kind](session);
      const hint = `Known: ${KINDS.join(", ")}.`;
      throw new KedgeError("INVALID_OPTION", `nothing is called ${JSON.stringify(kind)}`, { field: "kind", hint });
    },
  });
};
