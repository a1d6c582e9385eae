// False-rollback rate and mean requests to detection of the judge, against the information limit.
// Usage: node -C kedge-source bench/simulate.mjs [reps=400] [seed=1]
import { createJudge, informationLimit } from "@kedge/analysis";

const ALPHA = 0.01;
const WINDOW = 100;
const reps = Number(process.argv[2] ?? 400);
const random = mulberry32(Number(process.argv[3] ?? 1));

console.log(`alpha ${ALPHA}, windows of ${WINDOW} requests, ${reps} repetitions`);
console.log("\nfalse rollbacks within 50,000 requests, both arms alike");
for (const [rate, weight] of [
  [0.01, 0.5],
  [0.01, 0.1],
  [0.05, 0.1],
  [0.2, 0.1],
  [0.001, 0.1],
]) {
  for (const drift of [0, 0.8]) {
    const ended = repeat(() => run({ baselineRate: rate, canaryRate: rate, weight, drift, limit: 50_000 }));
    const rolledBack = ended.filter((requests) => requests !== undefined).length;
    console.log(
      `p=${rate} w=${weight} drift=${drift}: ${rolledBack}/${reps} = ${((100 * rolledBack) / reps).toFixed(2)} %`,
    );
  }
}

console.log("\nmean requests to rollback / information limit");
for (const [baselineRate, canaryRate, weight] of [
  [0.01, 0.02, 0.5],
  [0.01, 0.02, 0.1],
  [0.01, 0.05, 0.1],
  [0.001, 0.01, 0.1],
  [0.05, 0.1, 0.1],
  [0.2, 0.3, 0.1],
]) {
  const bound = informationLimit({ baselineRate, canaryRate, weight, alpha: ALPHA });
  const ended = repeat(() => run({ baselineRate, canaryRate, weight, drift: 0, limit: 40 * bound }));
  const found = ended.filter((requests) => requests !== undefined);
  if (found.length < reps)
    throw new Error(`${reps - found.length} regressions of ${baselineRate} to ${canaryRate} missed`);
  const mean = found.reduce((sum, requests) => sum + requests, 0) / reps;
  console.log(
    `${baselineRate} -> ${canaryRate} w=${weight}: limit ${bound.toFixed(0)}, mean ${mean.toFixed(0)}, ratio ${(mean / bound).toFixed(2)}`,
  );
}

function repeat(once) {
  return Array.from({ length: reps }, once);
}

/** Requests until the judge rolls back; undefined when it does not within the limit. */
function run({ baselineRate, canaryRate, weight, drift, limit }) {
  const judge = createJudge({ alpha: ALPHA });
  for (let requests = 0; requests < limit; requests += WINDOW) {
    const swing = 1 + drift * Math.sin((2 * Math.PI * requests) / 10_000);
    const baseline = { requests: 0, errors: 0 };
    const canary = { requests: 0, errors: 0 };
    for (let i = 0; i < WINDOW; i++) {
      const isCanary = random() < weight;
      const arm = isCanary ? canary : baseline;
      arm.requests++;
      if (random() < swing * (isCanary ? canaryRate : baselineRate)) arm.errors++;
    }
    if (judge.observe({ seconds: 1, weight, baseline, canary }).verdict === "rollback") return requests + WINDOW;
  }
  return undefined;
}

function mulberry32(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
