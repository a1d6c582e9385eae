import { readTree } from "@kedge/bus";
import { StepFailure, toStepFailure } from "../steps/step-failure.ts";
import { formatBytes } from "./format-bytes.ts";
import type { FilesContext } from "./task-files.ts";
import { unpackTree } from "./unpack-tree.ts";

/** Unpacks the artifacts of earlier jobs into the workspace. May be done again. @throws StepFailure. */
export async function unpackInputs({ record, store, log, signal }: FilesContext): Promise<void> {
  const readChunk = (sha256: string) => store.readChunk(sha256);
  for (const { use, artifact } of record.offer.inputs) {
    if (use === undefined || artifact === undefined) continue;
    const name = `${use.job}/${artifact.name}`;
    try {
      const { entries } = await readTree(artifact.digest, readChunk);
      await unpackTree({ entries, readChunk, root: record.workspace, folder: use.path, signal });
    } catch (error) {
      signal.throwIfAborted();
      const { kind, message } = toStepFailure(error);
      throw new StepFailure(kind, `input ${name}: ${message}`, { cause: error });
    }
    const where = use.path === "" ? "" : ` in ${use.path}`;
    await log.note("inputs", `${name}: ${artifact.files} files, ${formatBytes(artifact.bytes)}${where}`);
  }
}
