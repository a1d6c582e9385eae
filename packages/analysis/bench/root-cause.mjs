// The metric ranking behind the interface that the benchmark harness drives: rank({ normal, anomalous }) → names, best
// first, each sample { [metric]: number[] }. Run by itself it ranks simulated incidents, stage by stage:
// node -C kedge-source bench/root-cause.mjs [incidents=300] [seed=1]
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rankCauses, rankMetrics } from "@kedge/analysis";

export default function rank({ normal, anomalous }) {
  return rankMetrics({ normal, anomalous }).map(({ metric }) => metric);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await bench();

async function bench() {
  const { simulateIncidents } = await import("./fault-simulator.mjs");
  const incidents = simulateIncidents(Number(process.argv[2] ?? 300), Number(process.argv[3] ?? 1));
  const bySigmas = (incident) => rankMetrics(incident).sort((a, b) => b.sigmas - a.sigmas);
  const services = (metrics) => [...new Set(metrics.map(({ component }) => component))];
  const causes = ({ calls, startedAt, changes }, metrics, withChanges) =>
    rankCauses({
      metrics,
      calls,
      startedAtSeconds: startedAt,
      changes: withChanges
        ? changes.map(({ component, at, what }) => ({ target: component, epochSeconds: at, what }))
        : [],
    }).map(({ name }) => name);
  console.log(`${incidents.length} simulated incidents, 8 to 14 services with 6 metrics each`);
  print("metric", incidents, ({ cause }) => cause, {
    "plain N-sigma": (incident) => bySigmas(incident).map(({ metric }) => metric),
    "N-sigma and KS fused": rank,
  });
  print("service", incidents, ({ service }) => service, {
    "plain N-sigma": (incident) => services(bySigmas(incident)),
    "N-sigma and KS fused": (incident) => services(rankMetrics(incident)),
    "… and call graph": (incident) => causes(incident, rankMetrics(incident), false),
    "… and recent changes": (incident) => causes(incident, rankMetrics(incident), true),
  });
}

/** One table: how often the truth is among the first k. */
function print(what, incidents, truthOf, methods) {
  console.log(`\n${what.padEnd(24)}  AC@1   AC@3  Avg@5`);
  for (const [name, method] of Object.entries(methods)) {
    const places = incidents.map((incident) => method(incident).indexOf(truthOf(incident)));
    const within = (k) => places.filter((place) => place >= 0 && place < k).length / places.length;
    const average = [1, 2, 3, 4, 5].reduce((sum, k) => sum + within(k) / 5, 0);
    console.log(`${name.padEnd(24)} ${[within(1), within(3), average].map((part) => part.toFixed(3)).join("  ")}`);
  }
}
