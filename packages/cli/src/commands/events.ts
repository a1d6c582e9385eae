import { WatchEventsResponseSchema } from "@kedge/proto";
import { eventLine } from "../output/views.ts";
import { addRemote, type CommandGroup, type Session } from "../session.ts";

interface EventsOptions {
  readonly follow?: boolean;
  readonly kind?: string;
  readonly name?: string;
}

/** Prints past events, and with `follow` those to come. */
export async function printEvents(
  session: Session,
  { follow = false, kind = "", name = "" }: EventsOptions,
): Promise<void> {
  const { client, output, signal } = session;
  const request = { kind, name, history: 200, noFollow: !follow };
  for await (const message of client.events.watchEvents(request, { signal })) {
    output.item(WatchEventsResponseSchema, message, ({ event }) => (event === undefined ? [] : [eventLine(event)]));
  }
}

/** `kedge events` */
export const eventsCommand: CommandGroup = (program, host) => {
  addRemote<EventsOptions>(program, host, {
    usage: "events",
    description: "print what happened",
    options: (command) =>
      command
        .option("-f, --follow", "stay and print what happens")
        .option(
          "--kind <kind>",
          "run, job, node, model, deployment, rollout, incident, flag, secret, repository or controller",
        )
        .option("--name <name>", "of this object"),
    run: (session, _args, options) => printEvents(session, options),
  });
};
