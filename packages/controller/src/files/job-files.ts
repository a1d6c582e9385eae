import { create } from "@bufbuild/protobuf";
import {
  type ArtifactUse,
  type Job,
  JobState,
  type OfferedArtifact,
  OfferedArtifactSchema,
  type Run,
} from "@kedge/proto";
import type { Artifacts } from "./artifacts.ts";
import { cacheAccess } from "./cache-access.ts";

/** What of an offer is about files. */
export interface OfferedFiles {
  readonly inputs: OfferedArtifact[];
  readonly cacheScope: string;
  readonly cachesReadOnly: boolean;
}

/**
 * What a job that is offered begins with. Of a job that was skipped there is nothing to begin with.
 *
 * @throws KedgeError ARTIFACT_NOT_FOUND when an earlier job did not leave what is asked for, or it has expired.
 */
export function offeredFiles(artifacts: Pick<Artifacts, "find">, run: Run, job: Job): OfferedFiles {
  const { scope, readOnly } = cacheAccess(run);
  const inputs = (job.spec?.inputs ?? []).flatMap((use) => offeredFor(artifacts, run, use));
  return { inputs, cacheScope: scope, cachesReadOnly: readOnly };
}

function offeredFor(artifacts: Pick<Artifacts, "find">, run: Run, use: ArtifactUse): OfferedArtifact[] {
  const producer = run.jobs.find(({ spec }) => spec?.name === use.job);
  if (producer?.state === JobState.SKIPPED) return [];
  const runId = producer?.reusedFrom || run.id;
  const names = use.name === "" ? (producer?.artifacts ?? []).map(({ name }) => name) : [use.name];
  return names.map((name) => {
    const artifact = artifacts.find({ runId, job: use.job, name });
    return create(OfferedArtifactSchema, { use, artifact });
  });
}
