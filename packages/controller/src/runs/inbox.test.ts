import { create } from "@bufbuild/protobuf";
import { type TaskEvent, TaskEventSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { TaskInbox } from "./inbox.ts";

const event = (taskId: string): TaskEvent => create(TaskEventSchema, { ref: { taskId } });
const waiting = (inbox: TaskInbox, runId: string) => inbox.peek(runId).map(({ ref }) => ref?.taskId);

test("events stay, in order, until they are settled, run by run", async () => {
  const inbox = new TaskInbox();
  const first = inbox.put("r1", event("a"));
  const second = inbox.put("r1", event("b"));
  const other = inbox.put("r2", event("c"));
  expect(waiting(inbox, "r1")).toEqual(["a", "b"]);
  inbox.settle("r1", 1);
  await first;
  expect([waiting(inbox, "r1"), waiting(inbox, "r2")]).toEqual([["b"], ["c"]]);
  inbox.settle("r1", 5);
  inbox.settle("r2", 1);
  await Promise.all([second, other]);
  expect(waiting(inbox, "r1")).toEqual([]);
});

test("an event that came while its run was stored is not settled with those before it", async () => {
  const inbox = new TaskInbox();
  const early = inbox.put("r1", event("a"));
  const arrived = inbox.peek("r1").length;
  void inbox.put("r1", event("b"));
  inbox.settle("r1", arrived);
  await early;
  expect(waiting(inbox, "r1")).toEqual(["b"]);
});

test("whoever waits when the inbox is cleared is told, so that nothing is acknowledged", async () => {
  const inbox = new TaskInbox();
  const given = inbox.put("r1", event("a"));
  inbox.clear();
  await expect(given).rejects.toMatchObject({ reason: "CANCELLED" });
  expect(waiting(inbox, "r1")).toEqual([]);
});
