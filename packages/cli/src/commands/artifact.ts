import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { pullArtifact } from "@kedge/client";
import { KedgeError } from "@kedge/domain";
import {
  ArtifactSchema,
  DeleteArtifactResponseSchema,
  ListArtifactsResponseSchema,
  type StoredArtifact,
} from "@kedge/proto";
import { argument } from "../options.ts";
import { artifactTable } from "../output/file-views.ts";
import { formatBytes } from "../output/text.ts";
import { addRemote, type CommandGroup, type Session } from "../session.ts";
import { transferProgress } from "../transfer-progress.ts";

/** `kedge artifact ...` */
export const artifactCommands: CommandGroup = (program, host) => {
  const artifact = program.command("artifact").description("files that jobs left");
  addRemote<{ job?: string }>(artifact, host, {
    usage: "list <run>",
    description: "list what a run's jobs left",
    options: (command) => command.option("--job <job>", "only this job's"),
    run: async ({ client, output }, args, { job = "" }) => {
      const response = await client.artifacts.listArtifacts({ runId: argument(args, 0), job });
      output.show(ListArtifactsResponseSchema, response, ({ artifacts }) => [artifactTable(artifacts)]);
    },
  });
  addRemote<{ output?: string }>(artifact, host, {
    usage: "get <run> <job[/artifact]>",
    description: "download an artifact, or all of a job; goes on where an earlier download was cut short",
    options: (command) =>
      command.option("-o, --output <folder>", "folder to make; default: the artifact's or job's name"),
    examples: [
      "kedge artifact get 01jd8 build/dist -o dist",
      "kedge artifact get 01jd8 build              # each artifact in a folder of its own below ./build",
    ],
    run: (session, args, options) => getArtifacts(session, argument(args, 0), argument(args, 1), options.output),
  });
  addRemote(artifact, host, {
    usage: "delete <run> <job/artifact>",
    description: "delete an artifact before it expires",
    run: async ({ client, output }, args) => {
      const [job = "", name = ""] = argument(args, 1).split("/");
      const response = await client.artifacts.deleteArtifact({ runId: argument(args, 0), job, name });
      output.show(DeleteArtifactResponseSchema, response, () => [`deleted ${job}/${name}`]);
    },
  });
};

async function getArtifacts(session: Session, runId: string, what: string, to: string | undefined): Promise<void> {
  const { client, output, signal } = session;
  const [job = "", name = ""] = what.split("/");
  const wanted = name === "" ? await namesOf(session, runId, job) : [name];
  for (const each of wanted) {
    const folder = name === "" ? join(to ?? job, each) : (to ?? each);
    const target = { runId, job, name: each, folder };
    const pulled = await pullArtifact(client, target, { signal, onProgress: transferProgress(output) });
    const text = `${job}/${each}: ${pulled.files} files, ${formatBytes(Number(pulled.bytes))} in ${folder}`;
    output.show(ArtifactSchema, create(ArtifactSchema, pulled), () => [text]);
  }
}

async function namesOf({ client }: Session, runId: string, job: string): Promise<string[]> {
  const { artifacts } = await client.artifacts.listArtifacts({ runId, job });
  const names = artifacts.map(({ artifact }: StoredArtifact) => artifact?.name ?? "");
  if (names.length > 0) return names;
  const hint = `kedge artifact list ${runId} shows what there is`;
  throw new KedgeError("ARTIFACT_NOT_FOUND", `job ${job} left no artifact`, { hint });
}
