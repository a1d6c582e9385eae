import { KedgeError } from "@kedge/domain";
import {
  CreateJoinTokenResponseSchema,
  CreateTokenResponseSchema,
  RevokeTokenResponseSchema,
  Role,
} from "@kedge/proto";
import { Option } from "commander";
import { LISTINGS } from "../listings.ts";
import { argument, keyValue, positiveInteger, span } from "../options.ts";
import { addRemote, type CommandGroup, type Session } from "../session.ts";

const ROLES = { viewer: Role.VIEWER, operator: Role.OPERATOR, admin: Role.ADMIN } as const;

interface CreateOptions {
  readonly role?: keyof typeof ROLES;
  readonly node?: boolean;
  readonly name?: string;
  readonly team?: string;
  readonly ttl?: number;
  readonly label?: Record<string, string>;
  readonly uses?: number;
}

/** `kedge token ...` */
export const tokenCommands: CommandGroup = (program, host) => {
  const token = program.command("token").description("tokens for people, programs and joining nodes");
  addRemote<CreateOptions>(token, host, {
    usage: "create",
    description: "make a token; it is shown once",
    options: (command) =>
      command
        .addOption(new Option("--role <role>", "what the token may do").choices(Object.keys(ROLES)))
        .addOption(new Option("--node", "a join token for a node").conflicts("role"))
        .option("--name <name>", "what the token is for")
        .addOption(new Option("--team <team>", "team whose share and quota its runs use").conflicts("node"))
        .option("--ttl <span>", "how long it is valid, e.g. 1h, 7d", span)
        .option("--label <key=value>", "label every node joining with it carries; may be repeated", keyValue)
        .option("--uses <count>", "how many nodes may join with it", positiveInteger),
    run: (session, _args, options) =>
      options.node ? createJoinToken(session, options) : createToken(session, options),
  });
  addRemote(token, host, { usage: "list", description: "list tokens", run: (session) => LISTINGS.tokens(session) });
  addRemote(token, host, {
    usage: "revoke <token-id>",
    description: "make a token invalid at once",
    run: async ({ client, output }, args) => {
      const id = argument(args, 0);
      output.show(RevokeTokenResponseSchema, await client.tokens.revokeToken({ id }), () => [`revoked ${id}`]);
    },
  });
};

const ttlOf = (seconds: number | undefined) => (seconds === undefined ? {} : { ttl: { seconds: BigInt(seconds) } });

async function createToken({ client, output }: Session, options: CreateOptions): Promise<void> {
  if (options.role === undefined) {
    throw new KedgeError("INVALID_OPTION", "say what the token is for: --role viewer|operator|admin, or --node");
  }
  const { name = "", team = "" } = options;
  const request = { name, team, role: ROLES[options.role], ...ttlOf(options.ttl) };
  output.show(CreateTokenResponseSchema, await client.tokens.createToken(request), ({ token }) => [token]);
}

async function createJoinToken({ client, output }: Session, options: CreateOptions): Promise<void> {
  const request = { labels: options.label ?? {}, uses: options.uses ?? 1, ...ttlOf(options.ttl) };
  output.show(CreateJoinTokenResponseSchema, await client.nodes.createJoinToken(request), ({ token }) => [token]);
}
