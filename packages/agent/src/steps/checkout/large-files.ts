import { isKedgeError } from "@kedge/domain";
import { StepFailure } from "../step-failure.ts";
import { type Checkout, git } from "./git-checkout.ts";

/**
 * Puts the files of Git LFS in place of their pointers. They come from where the repository is, or from the http(s)
 * address that its `.lfsconfig` names; the credential goes to the repository's own host only.
 *
 * @throws StepFailure INFRASTRUCTURE when the node has no git-lfs, INVALID for another kind of address; KedgeError GIT_FAILED.
 */
export async function fetchLargeFiles(checkout: Checkout): Promise<void> {
  await git(checkout, ["lfs", "version"]).catch((cause: unknown) => {
    if (!isKedgeError(cause, "GIT_FAILED")) throw cause;
    throw new StepFailure("INFRASTRUCTURE", "checkout.lfs: this node has no git-lfs; install it there", { cause });
  });
  await assertRemoteStorage(checkout);
  // Neither hooks nor the user's settings: the filters alone, in this repository.
  await git(checkout, ["lfs", "install", "--local", "--skip-repo"]);
  await git(checkout, ["lfs", "pull", "origin"]);
}

async function assertRemoteStorage(checkout: Checkout): Promise<void> {
  const asked = ["config", "--null", "--no-includes", "--blob", "HEAD:.lfsconfig", "--get-regexp", "url$"];
  const listed = await git(checkout, asked).catch((error: unknown) => {
    if (isKedgeError(error, "GIT_FAILED")) return "";
    throw error;
  });
  for (const entry of listed.split("\0")) {
    const [key = "", ...value] = entry.split("\n");
    if (key === "" || /^https?:\/\/[^-@/][^@/]*(?:\/|$)/.test(value.join("\n"))) continue;
    throw new StepFailure("INVALID", `checkout.lfs: ${key} in .lfsconfig must be an http or https address`);
  }
}
