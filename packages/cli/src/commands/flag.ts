import { create, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { collect } from "@kedge/client";
import { KedgeError } from "@kedge/domain";
import { formatFlag, parseFlag } from "@kedge/pipeline/flags";
import {
  ApplyFlagResponseSchema,
  DeleteFlagResponseSchema,
  type ExplainFlagResponse,
  ExplainFlagResponseSchema,
  type Flag,
  GetFlagResponseSchema,
  ListFlagChangesResponseSchema,
} from "@kedge/proto";
import { explainFlag, withPlaces } from "@kedge/rollout/flags";
import type { Command } from "commander";
import { flagAttribute, withKey } from "../flag-attributes.ts";
import { changeFlag } from "../flag-changes.ts";
import { LISTINGS } from "../listings.ts";
import { argument, positiveInteger, readInput, repeated } from "../options.ts";
import { flagAnswerView, flagHistoryTable, flagLine } from "../output/flag-views.ts";
import type { Output } from "../output/output.ts";
import { ExitRequest } from "../print-error.ts";
import { addRemote, type CommandGroup, type Host, type Session } from "../session.ts";

interface ReasonOption {
  readonly reason?: string;
}
interface ApplyOptions extends ReasonOption {
  readonly file: string[];
}
interface EvalOptions {
  readonly file?: string;
  readonly key?: string;
  readonly attr?: JsonObject;
}

const DEFAULT_LINES = 50;
const MAX_PAGE = 100;

const withReason = (command: Command): Command => command.option("-m, --reason <text>", "why, for the audit trail", "");

/** `kedge flag ...` */
export const flagCommands: CommandGroup = (program, host) => {
  const flag = program.command("flag").description("feature flags: values that change while programs run");
  addLooks(flag, host);
  addEval(flag, host);
  addHistory(flag, host);
  addApply(flag, host);
  addEdits(flag, host);
  addDelete(flag, host);
};

function addLooks(flag: Command, host: Host): void {
  addRemote(flag, host, {
    usage: "list",
    description: "list feature flags",
    run: (session) => LISTINGS.flags(session),
  });
  addRemote(flag, host, {
    usage: "get <flag>",
    description: "print a flag as a file that apply takes",
    examples: ["kedge flag get ranker > ranker.yaml"],
    run: async ({ client, output }, args) => {
      const response = await client.flags.getFlag({ name: argument(args, 0) });
      output.show(GetFlagResponseSchema, response, (r) => (r.flag === undefined ? [] : [formatFlag(r.flag).trimEnd()]));
    },
  });
}

function addEval(flag: Command, host: Host): void {
  addRemote<EvalOptions>(flag, host, {
    usage: "eval [flag]",
    description: "say what somebody gets of a flag, and why; of a file without a controller",
    options: (command) =>
      command
        .option("-k, --key <key>", "who asks: the attribute targetingKey")
        .option("-a, --attr <name=text>", "attribute, name:=json for other than text; may be repeated", flagAttribute)
        .option("-f, --file <path>", "a flag's file instead of a flag; - is standard input"),
    examples: [
      "kedge flag eval ranker --key ann --attr country=de --attr age:=42",
      "kedge flag eval -f ranker.yaml --key ann    # before it is applied",
    ],
    local: (output, { file, key, attr = {} }) =>
      file === undefined ? undefined : evaluateFile(output, file, withKey(attr, key)),
    run: async ({ client, output }, args, { key, attr = {} }) => {
      const response = await client.flags.explainFlag({ name: argument(args, 0), attributes: withKey(attr, key) });
      output.show(ExplainFlagResponseSchema, response, flagAnswerView);
    },
  });
}

function addHistory(flag: Command, host: Host): void {
  addRemote<{ limit?: number }>(flag, host, {
    usage: "history [flag]",
    description: "list who changed a flag, or any, when, how and why; newest first",
    options: (command) => command.option("--limit <count>", `most lines, default ${DEFAULT_LINES}`, positiveInteger),
    run: (session, args, { limit = DEFAULT_LINES }) => printHistory(session, args[0] ?? "", limit),
  });
}

async function printHistory({ client, output }: Session, flag: string, limit: number): Promise<void> {
  const list = (pageToken: string) =>
    client.flags.listFlagChanges({ flag, pageToken, pageSize: Math.min(limit, MAX_PAGE) });
  const changes = await collect(list, (page) => page.changes, limit);
  output.show(ListFlagChangesResponseSchema, create(ListFlagChangesResponseSchema, { changes }), () => [
    flagHistoryTable(changes),
  ]);
}

async function evaluateFile(output: Output, file: string, attributes: JsonObject): Promise<void> {
  const flag = withPlaces(await readFlag(output, file), undefined);
  const { outcome, lines } = explainFlag(flag, attributes);
  const { value, ...rest } = outcome;
  const answer: ExplainFlagResponse = create(ExplainFlagResponseSchema, {
    evaluation: { flag: flag.name, ...rest, ...(value === undefined ? {} : { value: fromJson(ValueSchema, value) }) },
    lines: [...lines],
  });
  output.show(ExplainFlagResponseSchema, answer, flagAnswerView);
}

async function readFlag(output: Output, file: string): Promise<Flag> {
  const { flag, diagnostics } = parseFlag(await readInput(file), file);
  output.diagnostics(diagnostics);
  if (flag === undefined) throw new ExitRequest("usage");
  return flag;
}

function addApply(flag: Command, host: Host): void {
  addRemote<ApplyOptions>(flag, host, {
    usage: "apply",
    description: "make flags what their files say; users of a split stay where they are as far as shares allow",
    options: (command) =>
      withReason(command).requiredOption(
        "-f, --file <path>",
        "a flag's file; may be repeated; - is standard input",
        repeated,
      ),
    examples: ['kedge flag apply -f ranker.yaml -m "ramp to 20 %"'],
    run: async ({ client, output }, _args, { file: files, reason = "" }) => {
      // All are read before the first is applied: a mistake in one of them changes nothing.
      const flags: Flag[] = [];
      for (const file of files) flags.push(await readFlag(output, file));
      for (const wanted of flags) {
        const response = await client.flags.applyFlag({ flag: wanted, reason });
        output.item(ApplyFlagResponseSchema, response, ({ flag: applied, changed }) => [
          changed ? "applied" : "nothing to change",
          ...(applied === undefined ? [] : [flagLine(applied)]),
        ]);
      }
    },
  });
}

function addEdits(flag: Command, host: Host): void {
  addEdit(flag, host, {
    usage: "set <flag> <variant>",
    description: "make a variant the default, for whom no rule holds",
    edit: (stored, [, variant = ""]) => {
      if (!Object.hasOwn(stored.variants, variant)) {
        const hint = `it has ${Object.keys(stored.variants).join(", ")}`;
        const message = `flag ${stored.name} has no variant ${JSON.stringify(variant)}`;
        throw new KedgeError("INVALID_OPTION", message, { field: "variant", hint });
      }
      stored.defaultVariant = variant;
    },
  });
  addEdit(flag, host, {
    usage: "on <flag>",
    description: "turn a flag on: its rules decide",
    edit: (stored) => {
      stored.disabled = false;
    },
  });
  addEdit(flag, host, {
    usage: "off <flag>",
    description: "turn a flag off: everybody gets its off variant, or their own default",
    edit: (stored) => {
      stored.disabled = true;
    },
  });
}

function addDelete(flag: Command, host: Host): void {
  addRemote<ReasonOption>(flag, host, {
    usage: "delete <flag>",
    description: "delete a flag; programs that ask for it get their own default",
    options: withReason,
    run: async ({ client, output }, args, { reason = "" }) => {
      const name = argument(args, 0);
      const response = await client.flags.deleteFlag({ name, reason });
      output.show(DeleteFlagResponseSchema, response, () => [`deleted ${name}`]);
    },
  });
}

interface EditSpec {
  readonly usage: string;
  readonly description: string;
  readonly edit: (flag: Flag, args: readonly string[]) => void;
}

function addEdit(flag: Command, host: Host, { usage, description, edit }: EditSpec): void {
  addRemote<ReasonOption>(flag, host, {
    usage,
    description,
    options: withReason,
    run: async (session, args, { reason = "" }) => {
      const change = { name: argument(args, 0), reason, edit: (stored: Flag) => edit(stored, args) };
      const response = await changeFlag(session, change);
      session.output.show(ApplyFlagResponseSchema, response, (r) => (r.flag === undefined ? [] : [flagLine(r.flag)]));
    },
  });
}
