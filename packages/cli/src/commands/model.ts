import { pullModel, pushModelFolder } from "@kedge/client";
import { newId, systemClock } from "@kedge/kernel";
import {
  DeleteModelResponseSchema,
  GetModelResponseSchema,
  ModelVersionSchema,
  PushModelResponseSchema,
  TagModelResponseSchema,
} from "@kedge/proto";
import { InvalidArgumentError } from "commander";
import { LISTINGS, listVersions } from "../listings.ts";
import { argument, keyValue, positiveInteger, repeated } from "../options.ts";
import { formatBytes } from "../output/text.ts";
import { modelTable, versionTable } from "../output/views.ts";
import { addRemote, type CommandGroup } from "../session.ts";
import { transferProgress } from "../transfer-progress.ts";

interface PushOptions {
  readonly tag?: string[];
  readonly metric?: Record<string, string>;
  readonly label?: Record<string, string>;
  readonly force?: boolean;
}

/** `kedge model ...` */
export const modelCommands: CommandGroup = (program, host) => {
  const model = program.command("model").description("the model registry");
  addRemote<PushOptions>(model, host, {
    usage: "push <model> <path>",
    description: "push a folder or file as a new version",
    options: (command) =>
      command
        .option("--tag <tag>", "tag to move to the new version; may be repeated", repeated)
        .option("--metric <name=value>", "metric of the version; may be repeated", keyValue)
        .option("--label <key=value>", "label of the version; may be repeated", keyValue)
        .option("--force", "accept changed inputs or outputs"),
    run: async ({ client, output, signal }, args, { tag = [], metric = {}, label = {}, force = false }) => {
      const header = { model: argument(args, 0), tags: tag, metrics: numbers(metric), labels: label, force };
      const response = await pushModelFolder(
        client,
        argument(args, 1),
        { ...header, idempotencyKey: newId(systemClock) },
        { signal, onProgress: transferProgress(output) },
      );
      output.show(PushModelResponseSchema, response, ({ version, existed, newBytes }) => [
        existed ? "this content was there already" : `${formatBytes(Number(newBytes))} were new`,
        versionTable(version === undefined ? [] : [version]),
      ]);
    },
  });
  addRemote<{ version?: string }>(model, host, {
    usage: "pull <model> <folder>",
    description: "download a version and check it",
    options: (command) => command.option("--version <version>", "version number or tag; default: the newest"),
    run: async ({ client, output, signal }, args, { version = "" }) => {
      const target = { model: argument(args, 0), folder: argument(args, 1), version };
      const pulled = await pullModel(client, target, { signal, onProgress: transferProgress(output) });
      output.show(ModelVersionSchema, pulled, (v) => [versionTable([v])]);
    },
  });
  addRemote(model, host, {
    usage: "list [model]",
    description: "list models, or the versions of one",
    run: (session, [name]) => (name === undefined ? LISTINGS.models(session) : listVersions(session, name)),
  });
  addRemote(model, host, {
    usage: "get <model> [version]",
    description: "show a model and one version; default: the newest",
    run: async ({ client, output }, args) => {
      const response = await client.models.getModel({ model: argument(args, 0), version: args[1] ?? "" });
      output.show(GetModelResponseSchema, response, (r) => [
        modelTable(r.model === undefined ? [] : [r.model]),
        versionTable(r.version === undefined ? [] : [r.version]),
      ]);
    },
  });
  addRemote(model, host, {
    usage: "tag <model> <version> <tag>",
    description: "move a tag to a version",
    run: async ({ client, output }, args) => {
      const request = { model: argument(args, 0), version: positiveInteger(argument(args, 1)), tag: argument(args, 2) };
      const response = await client.models.tagModel(request);
      output.show(TagModelResponseSchema, response, (r) => [modelTable(r.model === undefined ? [] : [r.model])]);
    },
  });
  addRemote(model, host, {
    usage: "delete <model> <version>",
    description: "delete a version that no deployment uses",
    run: async ({ client, output }, args) => {
      const request = { model: argument(args, 0), version: positiveInteger(argument(args, 1)) };
      const done = `deleted ${request.model} version ${request.version}`;
      output.show(DeleteModelResponseSchema, await client.models.deleteModel(request), () => [done]);
    },
  });
};

function numbers(texts: Readonly<Record<string, string>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => {
      const value = text.trim() === "" ? Number.NaN : Number(text);
      if (!Number.isFinite(value))
        throw new InvalidArgumentError(`--metric ${name}: expected a number, got "${text}".`);
      return [name, value];
    }),
  );
}
