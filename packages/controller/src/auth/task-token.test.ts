import { create } from "@bufbuild/protobuf";
import { createSigner } from "@kedge/bus";
import { Role, TaskRefFullSchema } from "@kedge/proto";
import { createAccount } from "@nats-io/nkeys";
import { expect, test } from "vitest";
import { authenticateStep, authenticateTask, mintStepToken, mintTaskToken } from "./task-token.ts";

const signer = createSigner(createAccount().getSeed());
const ref = create(TaskRefFullSchema, { nodeId: "n1", taskId: "r-j-1", fence: 1, runId: "r", job: "j" });
const token = mintTaskToken(signer, ref);
const alive = () => true;

test("a task's token names its run and task while the task runs", () => {
  expect(authenticateTask(token, signer.publicKey, alive)).toEqual({
    name: "task r-j-1",
    role: Role.TASK,
    runId: "r",
    taskId: "r-j-1",
  });
  expect(authenticateTask(token, signer.publicKey, () => false)).toBeUndefined();
});

test("forged, changed, cut and foreign tokens are none", () => {
  const other = createSigner(createAccount().getSeed());
  expect(authenticateTask(mintTaskToken(other, ref), signer.publicKey, alive)).toBeUndefined();
  for (let at = "kedge-task.".length; at < token.length; at += 7) {
    const flipped = token[at] === "A" ? "B" : "A";
    const changed = token.slice(0, at) + flipped + token.slice(at + 1);
    // base64url has spare bits at the end; what decodes to the same bytes is the same token.
    const found = authenticateTask(changed, signer.publicKey, alive);
    if (found !== undefined) expect(found.taskId).toBe("r-j-1");
  }
  expect(authenticateTask(token.slice(0, -20), signer.publicKey, alive)).toBeUndefined();
  expect(authenticateTask("kedge-task.", signer.publicKey, alive)).toBeUndefined();
});

test("what the controller signed for other purposes is no token", () => {
  const document = signer.sign(TaskRefFullSchema, ref, "n1");
  expect(document.audience).toBe("n1");
  const wrong = mintTaskToken({ ...signer, sign: (schema, value) => signer.sign(schema, value, "n1") }, ref);
  expect(authenticateTask(wrong, signer.publicKey, alive)).toBeUndefined();
});

test("a step's token is no task's token, nor the other way round, also under the other's name", () => {
  const step = mintStepToken(signer, ref);
  expect(authenticateStep(step, signer.publicKey, alive)).toMatchObject({ role: Role.TASK, taskId: "r-j-1" });
  expect(authenticateStep(step, signer.publicKey, () => false)).toBeUndefined();
  for (const text of [step, step.replace("kedge-step.", "kedge-task.")])
    expect(authenticateTask(text, signer.publicKey, alive)).toBeUndefined();
  for (const text of [token, token.replace("kedge-task.", "kedge-step.")])
    expect(authenticateStep(text, signer.publicKey, alive)).toBeUndefined();
});
