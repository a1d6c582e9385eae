import { create } from "@bufbuild/protobuf";
import { collect } from "@kedge/client";
import { KedgeError } from "@kedge/domain";
import { formatRepository, parseRepository } from "@kedge/pipeline/forge";
import {
  ApplyRepositoryResponseSchema,
  DeleteRepositoryResponseSchema,
  GetRepositoryResponseSchema,
  HookDeliveryState,
  ListHookDeliveriesResponseSchema,
  PollRepositoryResponseSchema,
  RedeliverHookResponseSchema,
} from "@kedge/proto";
import { type Command, Option } from "commander";
import { LISTINGS } from "../listings.ts";
import { argument, positiveInteger, readInput } from "../options.ts";
import {
  appliedLines,
  deliveryView,
  hookDeliveryTable,
  polledLines,
  repositoryView,
} from "../output/repository-views.ts";
import { ExitRequest } from "../print-error.ts";
import { addRemote, type CommandGroup, type Host, type Session } from "../session.ts";

const PAGE_SIZE = 200;
const DEFAULT_LIMIT = 50;
const STATES = {
  pending: HookDeliveryState.PENDING,
  done: HookDeliveryState.DONE,
  ignored: HookDeliveryState.IGNORED,
  failed: HookDeliveryState.FAILED,
} as const;

const REPOSITORY_FILE = [
  "kedge secret set SHOP_HOOK --pipeline none    # what GitHub signs with; none: no job may use it",
  "kedge repo apply repository.yaml              # prints the path of its webhooks",
  "",
  "repository: shop                      # its name in Kedge",
  "url: https://github.com/team/shop.git",
  "forge: github                         # or gitlab, gitea (Forgejo, too)",
  "webhook-secrets: [SHOP_HOOK]          # names of secrets; a new one may stand beside the old",
  "token: SHOP_TOKEN                     # opens git, and the forge's API for commit statuses",
  "files: [kedge.yaml, ci/nightly.yaml]  # default: kedge.yaml; applied ones: pipelines: [name]",
  "default-branch: main                  # schedules are read from it",
  "trusted-senders: [ann]                # whose pull requests from forks need nobody's word",
  "run-url: https://ci.example.org/runs/{run}",
  "poll: 5m                              # where no webhook comes through",
];

/** `kedge repo ...` */
export const repoCommands: CommandGroup = (program, host) => {
  const repo = program.command("repo").description("git repositories whose changes start runs, and their forges");
  addApply(repo, host);
  addLooks(repo, host);
  addRemote(repo, host, {
    usage: "delete <repository>",
    description: "watch a repository no more; its runs stay",
    run: async ({ client, output }, args) => {
      const name = argument(args, 0);
      const response = await client.repositories.deleteRepository({ name });
      output.show(DeleteRepositoryResponseSchema, response, () => [`deleted ${name}`]);
    },
  });
  addDeliveries(repo, host);
  addRemote(repo, host, {
    usage: "poll <repository>",
    description: "look for new heads of branches now; the first look starts no runs",
    run: async ({ client, output }, args) => {
      const response = await client.repositories.pollRepository({ name: argument(args, 0) });
      output.show(PollRepositoryResponseSchema, response, polledLines);
      if (response.state?.pollError !== "") throw new ExitRequest("failed");
    },
  });
};

function addApply(repo: Command, host: Host): void {
  addRemote(repo, host, {
    usage: "apply <file>",
    description: "watch a repository as its file says; - is standard input",
    examples: REPOSITORY_FILE,
    run: async ({ client, output }, args) => {
      const file = argument(args, 0);
      const { repository, diagnostics } = parseRepository(await readInput(file), file);
      output.diagnostics(diagnostics);
      if (repository === undefined) throw new ExitRequest("usage");
      output.show(
        ApplyRepositoryResponseSchema,
        await client.repositories.applyRepository({ repository }),
        appliedLines,
      );
    },
  });
}

function addLooks(repo: Command, host: Host): void {
  addRemote(repo, host, {
    usage: "list",
    description: "list repositories",
    run: (session) => LISTINGS.repositories(session),
  });
  addRemote<{ readonly file?: boolean }>(repo, host, {
    usage: "get <repository>",
    description: "show a repository, its schedules, and what its forge was told",
    options: (command) => command.option("--file", "print it as a file that apply takes"),
    run: async ({ client, output }, args, { file = false }) => {
      const response = await client.repositories.getRepository({ name: argument(args, 0) });
      output.show(GetRepositoryResponseSchema, response, (it) => {
        if (it.repository === undefined) return [];
        return file ? [formatRepository(it.repository).trimEnd()] : repositoryView(it);
      });
    },
  });
}

interface DeliveryFilter {
  readonly state?: keyof typeof STATES;
  readonly limit?: number;
}

function addDeliveries(repo: Command, host: Host): void {
  addRemote<DeliveryFilter>(repo, host, {
    usage: "deliveries [repository]",
    description: "list webhooks that came in, the newest first, and what came of them",
    options: (command) =>
      command
        .addOption(new Option("--state <state>", "only in this state").choices(Object.keys(STATES)))
        .option("--limit <count>", `most rows, default ${DEFAULT_LIMIT}`, positiveInteger),
    examples: ["kedge repo deliveries shop --state failed"],
    run: (session, args, filter) => listDeliveries(session, args[0] ?? "", filter),
  });
  addRemote(repo, host, {
    usage: "redeliver <repository> <delivery>",
    description: "process a webhook that came in once more; runs that it started are started anew",
    examples: ["kedge repo redeliver shop 3f2a"],
    run: async ({ client, output }, args) => {
      const request = { repository: argument(args, 0), id: argument(args, 1) };
      const response = await client.repositories.redeliverHook(request);
      if (response.delivery === undefined) throw new KedgeError("INTERNAL", "no delivery came back");
      output.show(RedeliverHookResponseSchema, response, deliveryView);
    },
  });
}

async function listDeliveries({ client, output }: Session, repository: string, filter: DeliveryFilter): Promise<void> {
  const { limit = DEFAULT_LIMIT } = filter;
  const state = filter.state === undefined ? HookDeliveryState.UNSPECIFIED : STATES[filter.state];
  const pageSize = Math.min(limit, PAGE_SIZE);
  const list = (pageToken: string) =>
    client.repositories.listHookDeliveries({ repository, state, pageSize, pageToken });
  const deliveries = await collect(list, (page) => page.deliveries, limit);
  output.show(ListHookDeliveriesResponseSchema, create(ListHookDeliveriesResponseSchema, { deliveries }), () =>
    deliveries.length === 0 ? ["no webhook came in"] : [hookDeliveryTable(deliveries)],
  );
}
