import type { TransferProgress } from "@kedge/client";
import type { Output } from "./output/output.ts";
import { formatBytes } from "./output/text.ts";

/** Tells how far a transfer is, at every tenth of the whole. */
export function transferProgress(output: Output): (progress: TransferProgress) => void {
  let tenth = 0;
  return ({ doneBytes, totalBytes }) => {
    const now = totalBytes === 0 ? 10 : Math.floor((doneBytes * 10) / totalBytes);
    if (now > tenth) output.progress(`${now * 10}% of ${formatBytes(totalBytes)}`);
    tenth = now;
  };
}
