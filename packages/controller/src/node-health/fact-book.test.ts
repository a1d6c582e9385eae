import { expect, test } from "vitest";
import { FactBook } from "./fact-book.ts";
import { WINDOW_MS } from "./fact-window.ts";

const START = 1_700_000_000_000;
const SUBJECT = { kind: "tasks", workload: "train/fit", nodeId: "n1" } as const;

const totals = (book: FactBook, nowMs: number) =>
  book.workloads(nowMs).map(({ workload, byNode }) => [workload, Object.fromEntries(byNode)]);

test("facts add up by workload and node, and go after a quarter of an hour", () => {
  const book = new FactBook();
  book.add(SUBJECT, START, { exposure: 1, failures: 1 });
  book.add(SUBJECT, START + 60_000, { exposure: 1, failures: 0 });
  book.add({ ...SUBJECT, nodeId: "n2" }, START, { exposure: 2, failures: 0 });
  expect(totals(book, START + 60_000)).toEqual([
    ["train/fit", { n1: { exposure: 2, failures: 1 }, n2: { exposure: 2, failures: 0 } }],
  ]);
  expect(totals(book, START + WINDOW_MS + 31_000)).toEqual([["train/fit", { n1: { exposure: 1, failures: 0 } }]]);
  expect(totals(book, START + 2 * WINDOW_MS)).toEqual([]);
});

test("a node that is forgiven starts anew; others keep what they have", () => {
  const book = new FactBook();
  for (const nodeId of ["n1", "n2"]) {
    book.add({ ...SUBJECT, nodeId }, START, { exposure: 1, failures: 1 });
    book.addReturn(nodeId, START);
  }
  book.addReturn("n3", START + 60_000);
  book.forgive("n1", START + 60_000);
  expect(totals(book, START + 60_000)).toEqual([["train/fit", { n2: { exposure: 1, failures: 1 } }]]);
  expect(Object.fromEntries(book.returns(START + 60_000, 8))).toEqual({ n2: 1, n3: 1 });
});

test("nodes that come back together were away for a reason of no one of them", () => {
  const book = new FactBook();
  for (const [i, nodeId] of ["n1", "n2", "n3", "n4"].entries()) book.addReturn(nodeId, START + i * 1_000);
  book.addReturn("n1", START + 60_000);
  book.addReturn("n1", START + 120_000);
  expect(Object.fromEntries(book.returns(START + 120_000, 6))).toEqual({ n1: 2 });
  // In a fleet of a hundred four may well fall ill at once.
  expect(book.returns(START + 120_000, 100).get("n1")).toBe(3);
  expect(book.returns(START + 60_001 + WINDOW_MS, 6).get("n1")).toBe(1);
});
