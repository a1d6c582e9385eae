import { type CheckoutStep, LogStream, SourceKind } from "@kedge/proto";
import type { StepContext, StepResult } from "../step-context.ts";
import { StepFailure } from "../step-failure.ts";
import { type CheckoutHome, withCheckoutHome } from "./credential.ts";
import { gitCheckout } from "./git-checkout.ts";
import { fetchLargeFiles } from "./large-files.ts";
import { checkoutSubmodules } from "./submodules.ts";
import { subversionCheckout } from "./subversion-checkout.ts";
import { prepareTarget } from "./target-folder.ts";

/** What a checkout needs to know of its step. */
export interface CheckoutContext extends Pick<StepContext, "workspace" | "offer" | "secrets" | "signal" | "detached"> {
  readonly step: Pick<StepContext["step"], "name">;
  readonly log: Pick<StepContext["log"], "write" | "note">;
}

/** What is checked out where. */
interface Target {
  readonly directory: string;
  readonly repository: string;
  readonly signal: AbortSignal;
  readonly onOutput: (text: string) => void;
}

/** Puts the run's commit, or another, into the workspace. Outputs: commit, in Subversion the revision. */
export async function checkoutStep(context: CheckoutContext, action: CheckoutStep): Promise<StepResult> {
  const { workspace, log, step, offer } = context;
  const repository = action.repository || offer.source?.repository || "";
  if (repository === "") throw new StepFailure("INVALID", "checkout: the run has no source and the step no repository");
  const written: Promise<void>[] = [];
  const onOutput = (text: string): void => {
    written.push(log.write({ step: step.name, stream: LogStream.STDERR, data: Buffer.from(text) }));
  };
  const signal = AbortSignal.any([context.signal, context.detached]);
  try {
    const directory = await prepareTarget(workspace, action.path);
    const target = { directory, repository, signal, onOutput };
    const commit = await withCheckoutHome(context, action.credential, (home) =>
      action.kind === SourceKind.SUBVERSION
        ? subversionCheckout({ ...target, ...credentialOf(home), url: repository, revision: action.ref })
        : checkoutGit(context, action, target, home),
    );
    await log.note(step.name, `checked out ${commit} of ${repository}`);
    return { outputs: { commit } };
  } finally {
    await Promise.all(written);
  }
}

async function checkoutGit(
  { offer }: CheckoutContext,
  action: CheckoutStep,
  target: Target,
  home: CheckoutHome,
): Promise<string> {
  const ownRef = action.repository === "" ? offer.source?.commit || offer.source?.ref || "" : "HEAD";
  const { filter } = action;
  const depth = action.depth === 0 ? 1 : action.depth;
  const ref = action.ref || ownRef;
  const checkout = { ...target, ...credentialOf(home), ref, depth, filter, localRepositories: true };
  const commit = await gitCheckout(checkout);
  const submodules = action.submodules ? await checkoutSubmodules(checkout) : [];
  if (action.lfs) for (const each of [checkout, ...submodules]) await fetchLargeFiles(each);
  return commit;
}

function credentialOf({ directory, credential }: CheckoutHome) {
  return { home: directory, credential };
}
