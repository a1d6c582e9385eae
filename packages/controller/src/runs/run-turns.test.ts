import { OnNewRun } from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Entrant, type Entrants, turnOf } from "./run-turns.ts";

const run = (id: string, fields: Partial<Entrant> = {}): Entrant => ({
  ...{ id, group: "g", limit: 1, onNew: OnNewRun.QUEUE, standing: "queued", calledBy: "" },
  ...fields,
});

function world(...entrants: Entrant[]): Entrants {
  return {
    get: (id) => entrants.find((it) => it.id === id),
    inGroup: (group) => entrants.filter((it) => it.group === group),
    awaited: (id) => entrants.filter((it) => it.calledBy === id),
  };
}

describe("a run of a group", () => {
  it("goes when it is the oldest and there is a place", () => {
    const [a, b] = [run("a"), run("b")];
    expect(turnOf(a, world(a, b))).toEqual({ kind: "goes" });
    expect(turnOf(b, world(a, b))).toEqual({ kind: "waits" });
    const active = run("a", { standing: "active" });
    expect(turnOf(b, world(active, b))).toEqual({ kind: "waits" });
    expect(turnOf({ ...b, limit: 2 }, world(active, b))).toEqual({ kind: "goes" });
    expect(turnOf(b, world({ ...a, group: "other" }, b))).toEqual({ kind: "goes" });
  });

  it("gives way to a newer one that asks for it, if it must", () => {
    const [pending, running] = [OnNewRun.CANCEL_PENDING, OnNewRun.CANCEL_RUNNING];
    const table: [Entrant["standing"], OnNewRun, string][] = [
      ["queued", pending, "gives-way"],
      ["active", pending, "goes"],
      ["queued", running, "gives-way"],
      ["active", running, "gives-way"],
    ];
    for (const [standing, onNew, kind] of table) {
      const old = run("a", { standing });
      expect(turnOf(old, world(old, run("b", { onNew }))).kind).toBe(kind);
    }
  });

  it("does not give way to one that nobody let in, nor to one that it called", () => {
    const old = run("a", { standing: "active" });
    const stranger = run("b", { onNew: OnNewRun.CANCEL_RUNNING, standing: "blocked" });
    const own = run("b", { onNew: OnNewRun.CANCEL_RUNNING, calledBy: "a" });
    expect(turnOf(old, world(old, stranger))).toEqual({ kind: "goes" });
    expect(turnOf(old, world(old, own))).toEqual({ kind: "goes" });
  });

  it("does not wait for its own caller, directly or in a circle", () => {
    const caller = run("a", { standing: "active" });
    const called = run("b", { calledBy: "a" });
    expect(turnOf(called, world(caller, called))).toEqual({ kind: "goes" });
    const [x, y] = [run("a", { group: "x", standing: "active" }), run("b", { group: "y", standing: "active" })];
    const [inY, inX] = [run("c", { group: "y", calledBy: "a" }), run("d", { group: "x", calledBy: "b" })];
    expect(turnOf(inY, world(x, y, inY))).toEqual({ kind: "waits" });
    expect(turnOf(inX, world(x, y, inY, inX))).toEqual({ kind: "goes" });
  });
});

interface Plan {
  readonly group: string;
  readonly limit: number;
  /** Index of the run that calls it, if that runs by then. */
  readonly caller: number;
}

const plans = fc.array(
  fc.record({
    group: fc.constantFrom("x", "y", "z", ""),
    limit: fc.integer({ min: 1, max: 2 }),
    caller: fc.integer({ min: -3, max: 8 }),
  }),
  { minLength: 1, maxLength: 9 },
);

it("in any order of arrivals and calls every run ends, and runs that nobody called keep to the limits", () => {
  fc.assert(
    fc.property(plans, (all) => {
      const alive = simulate(all);
      expect(alive).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

/** Runs arrive one by one, each as early as its caller runs; an active run ends when nothing that it called is alive. */
function simulate(all: readonly Plan[]): string[] {
  const waiting = all.map((plan, i) => ({ plan, id: `r${i}` }));
  let alive: Entrant[] = [];
  const activeIds = () => new Set(alive.filter(({ standing }) => standing === "active").map(({ id }) => id));
  for (let turn = 0; turn < 200; turn++) {
    const next = waiting.find(
      ({ plan, id }) => plan.caller < 0 || `r${plan.caller}` >= id || activeIds().has(`r${plan.caller}`),
    );
    if (next !== undefined) {
      waiting.splice(waiting.indexOf(next), 1);
      const { group, limit, caller } = next.plan;
      const calledBy = caller >= 0 && `r${caller}` < next.id ? `r${caller}` : "";
      alive.push(run(next.id, { group, limit, calledBy, standing: group === "" ? "active" : "queued" }));
    }
    alive = alive.map((entrant) => {
      const goes = entrant.standing === "queued" && turnOf(entrant, world(...alive)).kind === "goes";
      if (!goes) return entrant;
      const free = alive.filter((it) => it.group === entrant.group && it.standing === "active").length < entrant.limit;
      expect(free || entrant.calledBy !== "").toBe(true);
      entrant = { ...entrant, standing: "active" };
      alive = alive.map((it) => (it.id === entrant.id ? entrant : it));
      return entrant;
    });
    const callers = new Set(waiting.map(({ plan }) => `r${plan.caller}`));
    const done = alive.find(
      ({ id, standing }) => standing === "active" && !callers.has(id) && !alive.some(({ calledBy }) => calledBy === id),
    );
    alive = alive.filter((entrant) => entrant !== done);
    if (alive.length === 0 && waiting.length === 0) return [];
  }
  return [...alive, ...waiting].map(({ id }) => id);
}
