import { create } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import {
  DeleteSecretResponseSchema,
  RotateKeyResponseSchema,
  type SecretScope,
  SecretScopeSchema,
  SetSecretResponseSchema,
} from "@kedge/proto";
import type { Command } from "commander";
import { LISTINGS } from "../listings.ts";
import { argument, repeated } from "../options.ts";
import { secretTable } from "../output/secret-views.ts";
import { readValue, readValueFile } from "../secret-input.ts";
import { addRemote, type CommandGroup, type Host, type Session } from "../session.ts";

interface SetOptions {
  readonly fromFile?: string;
  readonly pipeline?: string[];
  readonly environment?: string[];
  readonly branch?: string[];
  readonly everywhere?: boolean;
}

const setOptions = (command: Command): Command =>
  command
    .option("--from-file <path>", "file with the value, taken as it is; - is standard input")
    .option("--pipeline <glob>", "only for these pipelines; may be repeated", repeated)
    .option("--environment <glob>", "only for jobs of these environments; may be repeated", repeated)
    .option("--branch <glob>", "only for runs of these branches, or tags: refs/tags/v*; may be repeated", repeated)
    .option("--everywhere", "for all pipelines, environments and branches again");

/** `kedge secret ...` */
export const secretCommands: CommandGroup = (program, host) => {
  const secret = program.command("secret").description("values that jobs may use and nobody is shown");
  addRemote<SetOptions>(secret, host, {
    usage: "set <secret>",
    description: "give a secret a value: typed, piped or from a file, never as an argument",
    options: setOptions,
    examples: [
      "kedge secret set DEPLOY_TOKEN --pipeline shop --environment production",
      "pass show deploy | kedge secret set DEPLOY_TOKEN    # keeps where it may be used",
      "kedge secret set ssh_key --from-file ~/.ssh/deploy",
    ],
    run: (session, args, options) => setSecret(session, host, argument(args, 0), options),
  });
  addRemote(secret, host, {
    usage: "list",
    description: "list secrets, without what they hold",
    run: (session) => LISTINGS.secrets(session),
  });
  addRemote(secret, host, {
    usage: "delete <secret>",
    description: "forget a secret; jobs that ask for it fail",
    run: async ({ client, output }, args) => {
      const name = argument(args, 0);
      output.show(DeleteSecretResponseSchema, await client.secrets.deleteSecret({ name }), () => [`deleted ${name}`]);
    },
  });
  addRemote(secret, host, {
    usage: "rotate-key",
    description: "encrypt all secrets with a new key; to be repeated if it is cut short",
    run: async ({ client, output }) =>
      output.show(RotateKeyResponseSchema, await client.secrets.rotateKey({}), ({ keyId, rewrapped }) => [
        `key ${keyId} is in use; ${rewrapped} secrets were encrypted with it anew. Back its file up.`,
      ]),
  });
};

async function setSecret({ client, output }: Session, host: Host, name: string, options: SetOptions): Promise<void> {
  const scope = scopeOf(options);
  const { stdin = process.stdin } = host;
  const value =
    options.fromFile === undefined
      ? await readValue(stdin, `Value of ${name} (not shown): `, host.stderr)
      : await readValueFile(options.fromFile);
  if (value.byteLength === 0) throw new KedgeError("INVALID_OPTION", `no value was given for ${name}`);
  const response = await client.secrets.setSecret({ name, value, ...(scope === undefined ? {} : { scope }) });
  if (response.secret?.unmasked === true) {
    output.progress(`warning: ${name} is too short to be masked in logs; take one of 6 bytes or more`);
  }
  output.show(SetSecretResponseSchema, response, ({ secret }) => (secret === undefined ? [] : [secretTable([secret])]));
}

/** Undefined: as it was. */
function scopeOf({ pipeline, environment, branch, everywhere }: SetOptions): SecretScope | undefined {
  const isNarrow = pipeline !== undefined || environment !== undefined || branch !== undefined;
  if (isNarrow && everywhere === true) {
    const hint = "leave one of them out";
    throw new KedgeError("INVALID_OPTION", "--everywhere contradicts --pipeline, --environment and --branch", { hint });
  }
  if (!isNarrow && everywhere !== true) return undefined;
  const scope = { pipelines: pipeline ?? [], environments: environment ?? [], branches: branch ?? [] };
  return create(SecretScopeSchema, scope);
}
