import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Signer, verifySigned } from "@kedge/bus";
import { Role, SignedSchema, type TaskRefFull, TaskRefFullSchema } from "@kedge/proto";
import type { Principal } from "@kedge/rpc";

const PREFIX = "kedge-task.";
const AUDIENCE = "task-token";

/** The bearer token of one task: its reference, signed by the controller. Valid while that task runs. */
export function mintTaskToken(signer: Signer, ref: TaskRefFull): string {
  const signed = signer.sign(TaskRefFullSchema, ref, AUDIENCE);
  return PREFIX + Buffer.from(toBinary(SignedSchema, signed)).toString("base64url");
}

/** Tells whether the task a token was made for is the current, running attempt of its job. */
export type IsTaskLive = (ref: TaskRefFull) => boolean;

/** The principal of a task token; undefined when it is forged or its task does not run. */
export function authenticateTask(text: string, publicKey: string, isLive: IsTaskLive): Principal | undefined {
  if (!text.startsWith(PREFIX)) return undefined;
  const ref = readTaskToken(text.slice(PREFIX.length), publicKey);
  if (ref === undefined || !isLive(ref)) return undefined;
  return { name: `task ${ref.taskId}`, role: Role.TASK, runId: ref.runId, taskId: ref.taskId };
}

function readTaskToken(encoded: string, publicKey: string): TaskRefFull | undefined {
  try {
    const signed = fromBinary(SignedSchema, Buffer.from(encoded, "base64url"));
    return verifySigned(TaskRefFullSchema, signed, { key: publicKey, audience: AUDIENCE });
  } catch {
    // Anything that does not parse or verify is no token; the caller answers UNAUTHENTICATED.
    return undefined;
  }
}
