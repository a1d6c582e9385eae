import { create } from "@bufbuild/protobuf";
import { RunSchema } from "@kedge/proto";
import { expect, it } from "vitest";
import { assertMayTag } from "./tag-right.ts";

const step = { action: { case: "tagModel" as const, value: { model: "vad", version: "1", tags: ["good"] } } };
const spec = { work: { case: "steps" as const, value: { steps: [step] } } };
const post = [
  { step: { action: { case: "tagModel" as const, value: { model: "vad", version: "1", tags: ["tried"] } } } },
];
const run = create(RunSchema, {
  jobs: [
    { spec: { ...spec, name: "a", post }, tasks: [{ id: "a-1" }, { id: "a-2" }] },
    { spec: { name: "b" }, tasks: [{ id: "b-1" }] },
  ],
});
const asked = (taskId: string | undefined, model: string, tag: string, runId = "r1") => {
  const principal = taskId === undefined ? {} : { taskId, runId };
  return () => assertMayTag({ model, tag }, principal, (id) => (id === "r1" ? run : undefined));
};

it("lets a task move the tags that its job's steps name, and no others", () => {
  expect(asked("a-2", "vad", "good")).not.toThrow();
  expect(asked("a-2", "vad", "tried")).not.toThrow();
  for (const foreign of [
    asked("a-2", "vad", "promoted"),
    asked("a-2", "other", "good"),
    asked("a-1", "vad", "good"),
    asked("b-1", "vad", "good"),
    asked("a-2", "vad", "good", "r2"),
  ]) {
    expect(foreign).toThrow("may not move tag");
  }
});

it("leaves people to their role", () => {
  expect(asked(undefined, "vad", "promoted")).not.toThrow();
});
