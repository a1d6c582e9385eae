// Mean gap to the LP bound of the knapsack heuristics on instances after Chu and Beasley (1998, A genetic algorithm for
// the multidimensional knapsack problem, Journal of Heuristics 4), beside simple baselines.
// Usage: node bench/knapsack.mjs [instances per kind=10] [seed=1], after a build; 10 are 270 instances as theirs.
import { lpBound } from "./lp-bound.mjs";
import { solve, solveGreedy } from "./mkp.mjs";
import { mulberry32 } from "./random.mjs";

const GOALS = { greedy: 1.2, "greedy + swaps": 0.7 };
const perKind = Number(process.argv[2] ?? 10);
const random = mulberry32(Number(process.argv[3] ?? 1));

const SOLVERS = {
  "arrival order": ({ values }) => values.map((_, item) => item),
  "profit only": ({ values }) => byFalling(values),
  "profit / dominant share": (problem) =>
    byFalling(problem.values.map((value, j) => value / dominantShare(problem, j))),
  "Toyoda 1975": toyoda,
  greedy: solveGreedy,
  "greedy + swaps": solve,
};
/** These give an order, of which what fits is taken. */
const ORDERS = new Set(["arrival order", "profit only", "profit / dominant share"]);

const even = measure([0.25, 0.5, 0.75], (tightness) => tightness);
console.log("\nChu-Beasley: every capacity the same share (tightness) of what is asked of it");
printTable(even);
console.log("\nthe same with capacities of unlike scarcity: shares between 0.1 and 0.9 within an instance");
printTable(measure(["0.1-0.9"], () => 0.1 + 0.8 * random()));

console.log("");
for (const [name, goal] of Object.entries(GOALS)) {
  const gap = mean(even.filter((row) => row.name === name).map((row) => row.gap));
  console.log(`goal, ${name}: mean gap to LP ${gap.toFixed(2)} %, goal <= ${goal} % ${gap <= goal ? "met" : "MISSED"}`);
  if (!(gap <= goal)) process.exitCode = 1;
}

/** Solves all instances by all solvers; each solution is checked before it counts. */
function measure(tightnesses, shareOf) {
  const rows = [];
  for (const m of [5, 10, 30]) {
    for (const n of [100, 250, 500]) {
      for (const tightness of tightnesses) {
        for (let i = 0; i < perKind; i++) {
          const problem = generate(m, n, () => shareOf(tightness));
          rows.push(...solveByAll(problem).map((row) => ({ ...row, m, n, tightness })));
        }
      }
    }
  }
  return rows;
}

function solveByAll(problem) {
  const bound = lpBound(problem);
  return Object.entries(SOLVERS).map(([name, solver]) => {
    const start = performance.now();
    const answer = solver(problem);
    const chosen = ORDERS.has(name) ? takeWhatFits(problem, answer) : answer;
    const ms = performance.now() - start;
    assertFeasible(problem, chosen, name);
    const value = chosen.reduce((sum, item) => sum + problem.values[item], 0);
    if (value > bound * (1 + 1e-6)) throw new Error(`${name}: ${value} is above the LP bound ${bound}`);
    return { name, gap: 100 * (1 - value / bound), ms };
  });
}

/** Weights uniform in 1..1000, values their mean plus 500 q with q uniform in (0, 1), thus correlated. */
function generate(m, n, shareOf) {
  const weights = Array.from({ length: m }, () => Array.from({ length: n }, () => 1 + Math.floor(1000 * random())));
  const capacities = weights.map((row) => Math.floor(shareOf() * sum(row)));
  const values = Array.from({ length: n }, (_, j) =>
    Math.round(sum(weights.map((row) => row[j])) / m + 500 * random()),
  );
  return { values, weights, capacities };
}

function assertFeasible({ values, weights, capacities }, chosen, name) {
  const isItem = (item) => Number.isInteger(item) && item >= 0 && item < values.length;
  if (new Set(chosen).size !== chosen.length || !chosen.every(isItem)) throw new Error(`${name}: no set of items`);
  for (const [i, row] of weights.entries()) {
    if (sum(chosen.map((item) => row[item])) > capacities[i]) throw new Error(`${name}: resource ${i} over capacity`);
  }
}

/** Value for the share of what is already used up that an item asks: penalty vector = use. */
function toyoda({ values, weights, capacities }) {
  const used = weights.map(() => 0);
  const chosen = [];
  let open = values.map((_, item) => item);
  for (;;) {
    open = open.filter((item) => weights.every((row, i) => used[i] + row[item] <= capacities[i]));
    if (open.length === 0) return chosen;
    const penalties = used.map((use, i) => (chosen.length === 0 ? 1 : use / capacities[i]));
    const price = (item) => sum(weights.map((row, i) => (row[item] / capacities[i]) * penalties[i]));
    const ratios = new Map(open.map((item) => [item, values[item] / price(item)]));
    const best = open.reduce((a, b) => (ratios.get(b) > ratios.get(a) ? b : a));
    chosen.push(best);
    for (const [i, row] of weights.entries()) used[i] += row[best];
    open = open.filter((item) => item !== best);
  }
}

function takeWhatFits({ weights, capacities }, order) {
  const left = [...capacities];
  return order.filter((item) => {
    if (weights.some((row, i) => row[item] > left[i])) return false;
    for (const [i, row] of weights.entries()) left[i] -= row[item];
    return true;
  });
}

function dominantShare({ weights, capacities }, item) {
  return Math.max(...weights.map((row, i) => row[item] / capacities[i]));
}

function byFalling(scores) {
  return scores.map((_, item) => item).sort((a, b) => scores[b] - scores[a] || a - b);
}

function printTable(rows) {
  const columns = ["m", "n", "tightness"].flatMap((key) =>
    [...new Set(rows.map((row) => row[key]))].map((value) => ({ key, value })),
  );
  const heads = [
    "gap to LP, %",
    "worst",
    ...columns.map(({ key, value }) => `${key[0]}=${value}`),
    "ms, mean",
    "ms, worst",
  ];
  console.log([`${rows.length / Object.keys(SOLVERS).length} instances`.padEnd(24), ...heads].join("  "));
  for (const name of Object.keys(SOLVERS)) {
    const own = rows.filter((row) => row.name === name);
    const gaps = columns.map(({ key, value }) => mean(own.filter((row) => row[key] === value).map(({ gap }) => gap)));
    const all = own.map(({ gap }) => gap);
    const times = own.map(({ ms }) => ms);
    const cells = [mean(all), Math.max(...all), ...gaps, mean(times), Math.max(...times)];
    console.log([name.padEnd(24), ...cells.map((cell, i) => cell.toFixed(2).padStart(heads[i].length))].join("  "));
  }
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

function mean(numbers) {
  return sum(numbers) / numbers.length;
}
