import { expect, test } from "vitest";
import { type CauseInput, type Component, likelyCauses } from "./causes.ts";

const BEGAN_MS = 1_700_000_000_000;

/** Forty steps before and a few after, with a little unrest; the level after may be another. */
function points(before: number, after: number, seed: number, during = 6) {
  return Array.from({ length: 40 + during }, (_, i) => {
    const unrest = 1 + (((i * 37 + seed * 11) % 23) - 11) / 200;
    return { atMs: BEGAN_MS + (i - 40) * 10_000, value: (i < 40 ? before : after) * unrest };
  });
}

const nodes = (slow: readonly string[], during?: number): Component[] =>
  ["n1", "n2", "n3", "n4"].map((name, seed) => ({
    name,
    kind: "node",
    metrics: [
      { name: "response time", points: points(20, slow.includes(name) ? 80 : 20, seed, during) },
      { name: "free memory", points: points(4_000, 4_000, seed, during), falls: true },
    ],
  }));

const promoted = (secondsBefore: number) => ({
  atMs: BEGAN_MS - 1_000 * secondsBefore,
  what: "revision 2 of vad promoted",
  touched: ["n1", "n2", "n3", "n4"],
});

function causes(input: Partial<CauseInput> & Pick<CauseInput, "components">): string[] {
  const revision = { name: "vad revision 2", nodes: ["n1", "n2", "n3", "n4"] };
  const found = likelyCauses({ beganAtMs: BEGAN_MS, revision, changes: [], ...input });
  for (const { score } of found) expect(score).toBeGreaterThan(0);
  expect(found.reduce((sum, { score }) => sum + score, 0)).toBeLessThanOrEqual(1.01);
  return found.map(({ kind, name }) => `${kind} ${name}`);
}

test("one node that deviates is the cause, also right after a promotion", () => {
  expect(causes({ components: nodes(["n3"]) })[0]).toBe("node n3");
  const [first, ...others] = causes({ components: nodes(["n3"]), changes: [promoted(30)] });
  expect(first).toBe("node n3");
  expect(others).toContain("change revision 2 of vad promoted");
  expect(others).toContain("metric response time on n3");
  expect(others).not.toContain("revision vad revision 2");
});

test("when most nodes deviate it is the revision, or what was changed, the sooner the likelier", () => {
  const all = nodes(["n1", "n2", "n3", "n4"]);
  expect(causes({ components: all })[0]).toBe("revision vad revision 2");
  const soon = likelyCauses({ beganAtMs: BEGAN_MS, components: all, changes: [promoted(20)] });
  const late = likelyCauses({ beganAtMs: BEGAN_MS, components: all, changes: [promoted(3_000)] });
  const scoreOf = (found: typeof soon) => found.find(({ kind }) => kind === "change")?.score ?? 0;
  expect(scoreOf(soon)).toBeGreaterThan(2 * scoreOf(late));
  expect(soon.find(({ kind }) => kind === "change")?.reason).toBe("20 s before; 4 of the 4 that it touched deviate");
});

test("the only node there is comes after what was changed on it just before", () => {
  const components = nodes(["n1"]).slice(0, 1);
  const revision = { name: "vad revision 2", nodes: ["n1"] };
  expect(causes({ components, revision, changes: [promoted(30)] })[0]).toBe("change revision 2 of vad promoted");
  expect(causes({ components, revision })[0]).toBe("node n1");
});

test("traffic that rose with everything is named, and so are changes that touch nothing in particular", () => {
  const traffic: Component = {
    ...{ name: "traffic to vad", kind: "metric" },
    metrics: [{ name: "requests", points: points(50, 400, 9) }],
  };
  const policy = { atMs: BEGAN_MS - 60_000, what: "scheduling policy changed" };
  const found = causes({ components: [...nodes([]), traffic], changes: [policy] });
  expect(found[0]).toBe("metric traffic to vad");
  expect(found).toContain("change scheduling policy changed");
});

test("what came long after, what is not finite and what is not there change nothing", () => {
  const later = { atMs: BEGAN_MS + 120_000, what: "node n9 joined", touched: ["n9"] };
  const odd: Component = { name: "n9", kind: "node", metrics: [{ name: "load average", points: [] }] };
  const broken: Component = {
    ...{ name: "n8", kind: "node" },
    metrics: [{ name: "load average", points: points(1, Number.NaN, 1).map((p) => ({ ...p, atMs: p.atMs })) }],
  };
  const found = causes({ components: [...nodes(["n2"]), odd, broken], changes: [later] });
  expect(found[0]).toBe("node n2");
  expect(found.join()).not.toMatch(/n8|n9/);
  expect(causes({ components: [] })).toEqual([]);
});

test("with half a minute's steps and with five minutes' the node is the same", () => {
  expect(causes({ components: nodes(["n2"], 2) })[0]).toBe("node n2");
  expect(causes({ components: nodes(["n2"], 35) })[0]).toBe("node n2");
});
