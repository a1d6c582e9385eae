import type { CacheSpec } from "@kedge/proto";

/** A cache that was looked for. */
export interface KnownCache {
  /** Filled in before the steps: these may change the files it is made of. */
  readonly key: string;
  /** The whole key was there: nothing is to be stored under it. */
  readonly isExact: boolean;
}

/** Whether a job's caches name folders of its HOME. */
export function cachesHome(caches: readonly CacheSpec[]): boolean {
  return caches.some(({ paths }) => paths.some((path) => path.startsWith("~/")));
}
