import { Readable } from "node:stream";
import { errorMessage } from "@kedge/domain";
import { type Pack, pack } from "tar-stream";

/** A tar written by `fill` while it is read, and ended after it; an error of `fill` is one of the stream. */
export function tarStream(fill: (tar: Pack) => Promise<void>): Readable {
  const tar = pack();
  fill(tar).then(
    () => tar.finalize(),
    (error: unknown) => tar.destroy(error instanceof Error ? error : new Error(errorMessage(error))),
  );
  return Readable.from(tar, { objectMode: false });
}
