import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Signer, verifySigned } from "@kedge/bus";
import { Role, SignedSchema, type TaskRefFull, TaskRefFullSchema } from "@kedge/proto";
import type { Principal } from "@kedge/rpc";

interface TokenKind {
  readonly prefix: string;
  readonly audience: string;
}

const TASK: TokenKind = { prefix: "kedge-task.", audience: "task-token" };
const STEP: TokenKind = { prefix: "kedge-step.", audience: "step-token" };

/** The bearer token of one task: its reference, signed by the controller. Valid while that task runs. */
export function mintTaskToken(signer: Signer, ref: TaskRefFull): string {
  return mint(TASK, signer, ref);
}

/** The bearer token that a task's steps are given: they run anybody's code, so that it opens less than the task's own. */
export function mintStepToken(signer: Signer, ref: TaskRefFull): string {
  return mint(STEP, signer, ref);
}

function mint({ prefix, audience }: TokenKind, signer: Signer, ref: TaskRefFull): string {
  const signed = signer.sign(TaskRefFullSchema, ref, audience);
  return prefix + Buffer.from(toBinary(SignedSchema, signed)).toString("base64url");
}

/** Tells whether the task a token was made for is the current, running attempt of its job. */
export type IsTaskLive = (ref: TaskRefFull) => boolean;

/** The principal of a task token; undefined when it is forged or its task does not run. */
export function authenticateTask(text: string, publicKey: string, isLive: IsTaskLive): Principal | undefined {
  return authenticate(TASK, text, { publicKey, isLive });
}

/** The principal of a token for steps; undefined as with `authenticateTask`. What it may call is `mayStepCall`. */
export function authenticateStep(text: string, publicKey: string, isLive: IsTaskLive): Principal | undefined {
  return authenticate(STEP, text, { publicKey, isLive });
}

interface Checks {
  readonly publicKey: string;
  readonly isLive: IsTaskLive;
}

function authenticate(kind: TokenKind, text: string, { publicKey, isLive }: Checks): Principal | undefined {
  if (!text.startsWith(kind.prefix)) return undefined;
  const ref = readToken(kind, text.slice(kind.prefix.length), publicKey);
  if (ref === undefined || !isLive(ref)) return undefined;
  return { name: `task ${ref.taskId}`, role: Role.TASK, runId: ref.runId, taskId: ref.taskId };
}

function readToken({ audience }: TokenKind, encoded: string, publicKey: string): TaskRefFull | undefined {
  try {
    const signed = fromBinary(SignedSchema, Buffer.from(encoded, "base64url"));
    return verifySigned(TaskRefFullSchema, signed, { key: publicKey, audience });
  } catch {
    // Anything that does not parse or verify is no token; the caller answers UNAUTHENTICATED.
    return undefined;
  }
}
