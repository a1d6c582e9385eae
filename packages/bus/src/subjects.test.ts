import { isKedgeError } from "@kedge/domain";
import { describe, expect, it } from "vitest";
import { nodeOfSubject, parseNodeSubject, subjects } from "./subjects.ts";

const HOSTILE = ["", ".", "a.b", "*", ">", "a b", "a\tb", "a\r\nPUB", "é", "a*", "x".repeat(201)];

describe("subjects", () => {
  it.each(HOSTILE)("refuse the token %j everywhere", (token) => {
    const attempts = [
      () => subjects.heartbeat(token),
      () => subjects.lease(token),
      () => subjects.taskEvents(token, "t"),
      () => subjects.taskEvents("n", token),
      () => subjects.logs(token, "r", "j"),
      () => subjects.logs("n", token, "j"),
      () => subjects.logs("n", "r", token),
      () => subjects.metrics("n", token),
      () => subjects.offers(token),
      () => subjects.document("routes", token),
      () => subjects.chunk(token),
      () => subjects.event(token, "n"),
      () => subjects.event("k", token),
    ];
    for (const attempt of attempts) expect(attempt).toThrow(expect.toSatisfy((e) => isKedgeError(e, "INVALID_FIELD")));
  });

  it("come apart again", () => {
    expect(parseNodeSubject(subjects.logs("n1", "r", "j"))).toEqual({ nodeId: "n1", kind: "log", rest: ["r", "j"] });
    expect(parseNodeSubject(subjects.taskEvents("n1", "t"))).toEqual({ nodeId: "n1", kind: "task", rest: ["t"] });
    expect(nodeOfSubject(subjects.offers("n1"))).toBe("n1");
    for (const other of [
      "kedge.node.n1",
      "kedge.node.n1.task",
      "kedge.node.n1.evil",
      "kedge.node.n1.toString.x",
      "a.b.c",
    ]) {
      expect(parseNodeSubject(other)).toBeUndefined();
    }
  });
});
