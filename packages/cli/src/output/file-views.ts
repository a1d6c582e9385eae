import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import type { CacheEntry, StoredArtifact } from "@kedge/proto";
import type { Table } from "./table.ts";
import { formatBytes, formatSpan } from "./text.ts";

/** Artifacts, one a row. */
export function artifactTable(artifacts: readonly StoredArtifact[]): Table {
  return {
    columns: ["JOB", "ARTIFACT", "ATTEMPT", "FILES", "SIZE", "AGE", "EXPIRES IN", "DIGEST"],
    rows: artifacts.map(({ job, fence, artifact }) => [
      job,
      artifact?.name ?? "",
      String(fence),
      String(artifact?.files ?? 0),
      formatBytes(Number(artifact?.bytes ?? 0n)),
      since(artifact?.createdAt),
      artifact?.expiresAt === undefined ? "-" : formatSpan(timestampMs(artifact.expiresAt) - systemClock.now()),
      (artifact?.digest ?? "").slice(0, 12),
    ]),
  };
}

/** Caches, one a row. */
export function cacheTable(entries: readonly CacheEntry[]): Table {
  return {
    columns: ["SCOPE", "KEY", "PATHS", "FILES", "SIZE", "AGE", "USED", "BY"],
    rows: entries.map(({ scope, key, paths, files, bytes, createdAt, lastUsedAt, runId, job }) => [
      scope,
      key,
      paths.join(" "),
      String(files),
      formatBytes(Number(bytes)),
      since(createdAt),
      since(lastUsedAt),
      `${runId}/${job}`,
    ]),
  };
}

function since(at: Timestamp | undefined): string {
  return at === undefined ? "-" : formatSpan(systemClock.now() - timestampMs(at));
}
