import fc from "fast-check";
import { expect, test } from "vitest";
import { calmState, type IncidentRule, type IncidentState, observeSign } from "./incident.ts";

const MINUTE = 60;

/** Events by minute, of one score a minute. */
function run(scores: readonly number[], rule: IncidentRule = {}): { events: [number, string][]; state: IncidentState } {
  let state = calmState;
  const events: [number, string][] = [];
  for (const [minute, score] of scores.entries()) {
    const step = observeSign(state, { epochSeconds: 1_000_000 + minute * MINUTE, score }, rule);
    if (step.event) events.push([minute, step.event]);
    state = step.state;
  }
  return { events, state };
}

const calm = (minutes: number): number[] => new Array(minutes).fill(0.1);

test("an alarm opens, what follows is the same incident, calm closes", () => {
  const { events } = run([...calm(5), 0.7, 0.4, 0.6, 0.4, ...calm(20)]);
  expect(events).toEqual([
    [5, "opened"],
    [19, "closed"],
  ]);
});

test("with more evidence asked for, one weak alarm opens nothing, several soon after each other do", () => {
  const rule = { openEvidence: 2.5 };
  expect(run([0.55, ...calm(30), 0.55, ...calm(30)], rule).events).toEqual([]);
  expect(run([0.55, 0.55, 0.55, ...calm(1)], rule).events).toEqual([[2, "opened"]]);
  expect(run([0.9], rule).events).toEqual([[0, "opened"]]);
});

test("what flares up again soon is the same incident, later a new one", () => {
  const again = run([0.7, ...calm(15), 0.7, ...calm(15)]);
  expect(again.events.map(([, event]) => event)).toEqual(["opened", "closed", "reopened", "closed"]);
  expect(again.state).toMatchObject({ incident: { reopened: 1, alarms: 2, openedAtSeconds: 1_000_000 } });
  expect(run([0.7, ...calm(60), 0.7]).events.map(([, event]) => event)).toEqual(["opened", "closed", "opened"]);
});

test("no data is neither evidence nor calm", () => {
  expect(run(new Array(50).fill(Number.NaN))).toEqual({ events: [], state: calmState });
  const silent = run([0.7, ...new Array(120).fill(Number.NaN), 0.1]);
  expect(silent.events).toEqual([[0, "opened"]]);
  expect(silent.state.phase).toBe("open");
});

test("events take turns, whatever comes; the input state is left as it was", () => {
  const scores = fc.array(fc.oneof(fc.double({ min: 0, max: 1 }), fc.constant(Number.NaN)), { maxLength: 200 });
  fc.assert(
    fc.property(scores, fc.double({ min: 0.1, max: 20, noNaN: true }), (list, openEvidence) => {
      const { events, state } = run(list.map(Object.freeze) as number[], { openEvidence, calmSeconds: 120 });
      for (const [index, [, event]] of events.entries()) expect(event === "closed").toBe(index % 2 === 1);
      expect(state.phase === "open").toBe(events.length % 2 === 1);
      expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    }),
  );
});

test.each([{ openEvidence: 0 }, { halfLifeSeconds: Number.NaN }, { stayScore: 2 }, { calmSeconds: -1 }])(
  "a rule out of range is rejected: %j",
  (rule) => {
    expect(() => run([0.5], rule)).toThrow(expect.objectContaining({ reason: "INVALID_OPTION" }));
  },
);
