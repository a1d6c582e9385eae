import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { JobSpec } from "@kedge/proto";
import type { GitCredential } from "@kedge/runtime/git";
import type { StepContext } from "../step-context.ts";
import { StepFailure } from "../step-failure.ts";

/** What lets a checkout in. */
export type Credential =
  | { readonly kind: "none" }
  | ({ readonly kind: "password" } & GitCredential)
  /** A file that only the agent's user may read. */
  | { readonly kind: "ssh-key"; readonly file: string };

/** A checkout's own surroundings, that nothing of the machine's user gets into. */
export interface CheckoutHome {
  /** Empty folder outside of the workspace. */
  readonly directory: string;
  readonly credential: Credential;
}

/** What forges take beside a token: GitHub, GitLab and Gitea look at the token only. */
const TOKEN_USER = "x-access-token";
const PRIVATE_KEY = /^-----BEGIN [A-Z ]*PRIVATE KEY-----/;

/**
 * Calls `act` with a home of its own, which is removed afterwards. The secret may be a token, `user:password`, or a
 * private key for ssh.
 *
 * @throws StepFailure INVALID when the job was not given the secret, or it cannot be what it should be.
 */
export async function withCheckoutHome<T>(
  context: Pick<StepContext, "workspace" | "secrets">,
  secret: string,
  act: (home: CheckoutHome) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(dirname(context.workspace), "checkout-"));
  try {
    return await act({ directory, credential: await openCredential(context, secret, directory) });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * The passwords within a job's credentials, for masking: a log may show one without its user.
 *
 * @returns values by what to call them.
 */
export function credentialPasswords(
  job: Pick<JobSpec, "work" | "post"> | undefined,
  secrets: ReadonlyMap<string, Uint8Array>,
): Map<string, Uint8Array> {
  const steps = job?.work.case === "steps" ? job.work.value.steps : [];
  const post = (job?.post ?? []).flatMap(({ step }) => step ?? []);
  const passwords = new Map<string, Uint8Array>();
  for (const { action } of [...steps, ...post]) {
    if (action.case !== "checkout") continue;
    const { credential } = action.value;
    const text = Buffer.from(secrets.get(credential) ?? []).toString("utf8");
    if (PRIVATE_KEY.test(text) || !text.includes(":")) continue;
    passwords.set(`the password of ${credential}`, Buffer.from(parsePassword(text).password));
  }
  return passwords;
}

function parsePassword(text: string): GitCredential {
  const line = text.trim();
  const at = line.indexOf(":");
  return { user: at < 0 ? TOKEN_USER : line.slice(0, at), password: line.slice(at + 1) };
}

async function openCredential(
  { secrets }: Pick<StepContext, "secrets">,
  name: string,
  directory: string,
): Promise<Credential> {
  if (name === "") return { kind: "none" };
  const bytes = secrets.get(name);
  if (bytes === undefined)
    throw new StepFailure("INVALID", `checkout.credential: the job was not given secret ${name}`);
  const text = Buffer.from(bytes).toString("utf8");
  if (PRIVATE_KEY.test(text)) {
    const file = join(directory, "key");
    // ssh refuses a key without its last line end.
    await writeFile(file, text.endsWith("\n") ? text : `${text}\n`, { mode: 0o600, flag: "wx" });
    return { kind: "ssh-key", file };
  }
  const line = text.trim();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (line === "" || /[\u0000-\u001f\u007f]/.test(line)) {
    throw new StepFailure(
      "INVALID",
      `checkout.credential: secret ${name} must be a token, user:password or a private key`,
    );
  }
  return { kind: "password", ...parsePassword(line) };
}
