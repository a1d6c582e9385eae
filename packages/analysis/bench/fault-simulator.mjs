// Incidents in a simulated mesh of services: a fault in one, its effects up the call graph, and things that merely happen.
import { seededDraws } from "./seeded.mjs";

const SECONDS = 240;
const FAULTS = {
  cpu: { metric: "cpu", own: { cpu: 6, latency: 4 } },
  memory: { metric: "mem", own: { mem: 8, latency: 1 } },
  disk: { metric: "disk", own: { disk: 7, latency: 3 } },
  delay: { metric: "latency", own: { latency: 9 } },
  loss: { metric: "error", own: { error: 6, latency: 2 } },
};
const METRICS = ["cpu", "mem", "disk", "latency", "error", "load"];

/** `count` seeded incidents: { normal, anomalous, cause, service, calls, changes, startedAt, seconds }. */
export function simulateIncidents(count, seed) {
  return Array.from({ length: count }, (_, i) => incident(seededDraws(seed * 7919 + i)));
}

function incident(draws) {
  const calls = mesh(draws, draws.whole(8, 14));
  const services = [...new Set(calls.flat())].sort();
  const service = draws.pick(services);
  const fault = draws.pick(Object.values(FAULTS));
  const strength = draws.between(0.5, 1.5);
  const effects = new Map(services.map((name) => [name, {}]));
  for (const [metric, size] of Object.entries(fault.own)) effects.get(service)[metric] = size * strength;
  propagate(calls, service, effects, draws);
  confuse(services, service, effects, draws);
  const normal = {};
  const anomalous = {};
  for (const name of services) {
    for (const metric of METRICS) {
      const series = seriesOf(draws, metric, effects.get(name)[metric] ?? 0);
      normal[`${name}_${metric}`] = series.slice(0, SECONDS);
      anomalous[`${name}_${metric}`] = series.slice(SECONDS);
    }
  }
  const startedAt = 100_000;
  return {
    normal,
    anomalous,
    cause: `${service}_${fault.metric}`,
    service,
    calls,
    changes: changes(draws, services, service, startedAt),
    startedAt,
  };
}

/** A random call graph without cycles: callers come before callees; everything is reachable from the first. */
function mesh(draws, size) {
  const calls = [];
  for (let callee = 1; callee < size; callee++) {
    const callers = new Set([draws.whole(Math.max(0, callee - 4), callee - 1)]);
    if (draws.uniform() < 0.35) callers.add(draws.whole(0, callee - 1));
    for (const caller of callers) calls.push([`svc${caller}`, `svc${callee}`]);
  }
  return calls;
}

/** Callers wait for the faulty service, and fail with it; less so the further away, sometimes hardly less. */
function propagate(calls, service, effects, draws) {
  let front = [service];
  const seen = new Set(front);
  while (front.length > 0) {
    const next = [];
    for (const [caller, callee] of calls) {
      if (!front.includes(callee) || seen.has(caller)) continue;
      seen.add(caller);
      next.push(caller);
      const from = effects.get(callee);
      const to = effects.get(caller);
      const passed = draws.between(0.5, 1.05);
      for (const metric of ["latency", "error"]) to[metric] = (to[metric] ?? 0) + passed * (from[metric] ?? 0);
      to.load = -0.3 * passed * (from.latency ?? 0);
      to.cpu = (to.cpu ?? 0) - 0.2 * passed;
    }
    front = next;
  }
}

/** Unrelated coincidences: more load somewhere, memory that grows, a batch job. */
function confuse(services, service, effects, draws) {
  for (const name of services) {
    if (name === service || draws.uniform() > 0.2) continue;
    const to = effects.get(name);
    const size = draws.between(1, 3);
    const metrics = draws.pick([["load", "cpu"], ["mem"], ["disk", "cpu"]]);
    for (const metric of metrics) to[metric] = (to[metric] ?? 0) + size;
  }
}

/** Units, noise and habits differ by metric and service; some metrics never move, some values are missing. */
function seriesOf(draws, metric, effect) {
  const unit = 10 ** draws.between(-3, 6);
  if (effect === 0 && draws.uniform() < 0.08) return new Array(2 * SECONDS).fill(unit);
  const phi = draws.between(0, 0.7);
  const heavy = metric === "latency" || metric === "error";
  const drift = metric === "mem" ? draws.between(0, 0.004) : 0;
  const onset = draws.whole(0, 15);
  let noise = 0;
  return Array.from({ length: 2 * SECONDS }, (_, second) => {
    noise = phi * noise + Math.sqrt(1 - phi * phi) * draws.normal();
    const shift = second >= SECONDS + onset ? effect * draws.between(0.6, 1.2) : 0;
    const value = 10 + noise + drift * second + (heavy && draws.uniform() < 0.03 ? draws.between(2, 8) : 0) + shift;
    return draws.uniform() < 0.01 ? Number.NaN : unit * value;
  });
}

/** Deploys: half the faults follow one of the faulty service; others happen anywhere, at any time. */
function changes(draws, services, service, startedAt) {
  const list = Array.from({ length: draws.whole(1, 3) }, () => ({
    component: draws.pick(services),
    at: startedAt - draws.between(0, 86_400),
    what: "deployed a revision",
  }));
  if (draws.uniform() < 0.5)
    list.push({ component: service, at: startedAt - draws.between(5, 300), what: "deployed a revision" });
  return list;
}
