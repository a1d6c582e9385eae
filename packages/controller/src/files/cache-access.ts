import type { Run } from "@kedge/proto";

/** Which caches the jobs of a run see. */
export interface CacheAccess {
  readonly scope: string;
  readonly readOnly: boolean;
}

/**
 * Caches belong to a pipeline. What comes from a fork may read them and never write: whoever fills a cache decides what
 * later runs begin with.
 */
export function cacheAccess({ pipeline, source }: Run): CacheAccess {
  return { scope: pipeline, readOnly: source?.fork === true };
}
