import type { Clock } from "@kedge/kernel";
import type { FileStore } from "../files/file-store.ts";
import { LocalFileStore } from "../files/local-file-store.ts";

/** Where the files of local runs are. */
export interface LocalFileFolders {
  /** Of artifacts: goes with the run. */
  readonly runDir: string;
  /** Of caches: stays. */
  readonly cacheDir: string;
  /** What the caches have in common. */
  readonly scope: string;
  readonly clock: Clock;
}

/** Files of one run on this machine: its artifacts end with it, caches serve the next run too. */
export function localFileStore({ runDir, cacheDir, scope, clock }: LocalFileFolders): FileStore {
  const artifacts = new LocalFileStore(runDir, scope, clock);
  const caches = new LocalFileStore(cacheDir, scope, clock);
  return {
    readChunk: (sha256) => artifacts.readChunk(sha256).catch(() => caches.readChunk(sha256)),
    putArtifact: (name, tree, signal) => artifacts.putArtifact(name, tree, signal),
    findCache: (wanted) => caches.findCache(wanted),
    putCache: (cache, tree, signal) => caches.putCache(cache, tree, signal),
  };
}
