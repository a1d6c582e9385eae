import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { sparkline } from "@kedge/domain";
import { systemClock } from "@kedge/kernel";
import { type Incident, IncidentKind, IncidentSchema, IncidentSeverity, IncidentState } from "@kedge/proto";
import { expect, test } from "vitest";
import { incidentLine, incidentTable, incidentView } from "./incident-views.ts";

const BEGAN_MS = 1_700_000_000_000;

function incident(): Incident {
  return create(IncidentSchema, {
    ...{ id: "01jd", kind: IncidentKind.ANOMALY, state: IncidentState.OPEN, severity: IncidentSeverity.WARNING },
    subject: { deployment: "vad", revision: 2, nodeId: "edge-2" },
    ...{ summary: "unusual response time of deployment vad on node edge-2", reason: "response time 120 ms\u001b[2J" },
    openedAt: timestampFromMs(systemClock.now() - 65_000),
    lastSeenAt: timestampFromMs(BEGAN_MS + 90_000),
    beganAt: timestampFromMs(BEGAN_MS),
    ...{ acknowledgedBy: "ann", acknowledgedAt: timestampFromMs(BEGAN_MS + 60_000), repeats: 2 },
    series: [
      {
        ...{ metric: "response time", unit: "ms", usual: 20.04, limit: 50 },
        points: [20, 21, 19, 20, 118.6, 120].map((value, i) => ({ at: timestampFromMs(BEGAN_MS + 10_000 * i), value })),
      },
    ],
    causes: [
      { kind: "node", name: "edge-2", score: 0.82, reason: "response time is 90.1 standard deviations worse" },
      { kind: "change", name: "revision 2 of vad promoted", score: 0.18, reason: "40 s before" },
    ],
    actions: [{ at: timestampFromMs(BEGAN_MS + 95_000), what: "began to bring revision 1 back" }],
  });
}

test("a line of bars keeps peaks and dips when there are more values than bars, and shows gaps", () => {
  expect(sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8)).toBe("▁▂▃▄▅▆▇█");
  const long = Array.from({ length: 120 }, (_, i) => (i === 61 ? 9 : i === 100 ? 1 : 5));
  const bars = sparkline(long, 30);
  expect(bars).toHaveLength(30);
  expect(bars).toMatch(/^▅+█▅+▁▅+$/);
  expect(sparkline([3, Number.NaN, 3], 10)).toBe("▁ ▁");
  expect(sparkline([], 10)).toBe("");
});

test("an incident shows what it is about, its graph, the likely causes and what was done", () => {
  const view = incidentView(incident());
  expect(incidentTable([incident()]).rows[0]).toEqual([
    ...["01jd", "open,acknowledged,×3", "warning", "anomaly", "vad revision 2 on edge-2", "1m5s", "node edge-2"],
    "unusual response time of deployment vad on node edge-2",
  ]);
  expect(view).toContain("response time 120 ms\ufffd[2J");
  expect(view).toContain("acknowledged: 2023-11-14T22:14:20.000Z by ann");
  expect(view).toContain("response time: 19 ms to 120 ms, 120 ms at the end, usually 20 ms; 50s");
  expect(view).toContain("  ▁▁▁▁██");
  expect(view.at(-3)).toMatchObject({
    rows: [
      ["████████··  82 %", "node", "edge-2", "response time is 90.1 standard deviations worse"],
      ["██········  18 %", "change", "revision 2 of vad promoted", "40 s before"],
    ],
  });
  expect(view.at(-1)).toMatchObject({ rows: [["2023-11-14T22:14:55.000Z", "began to bring revision 1 back"]] });
  expect(incidentLine(incident())).toBe(
    "2023-11-14T22:14:50.000Z 01jd open,acknowledged,×3 warning ▁▁▁▁██ unusual response time of deployment vad on node edge-2; likely node edge-2",
  );
});
