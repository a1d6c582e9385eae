// The knapsack behind the interface that outside trials drive: solve({ values, weights, capacities }) → item indices.
// It imports the build by path, so that plain node runs it from any directory in a built checkout, without conditions.
import { greedyKnapsack, improveBySwaps } from "../dist/knapsack.js";

/** `weights[i][j]`: how much of resource i item j asks for. Greedy, then swaps. */
export function solve(problem) {
  return improveBySwaps(problem, greedyKnapsack(problem));
}

/** The greedy alone. */
export function solveGreedy(problem) {
  return greedyKnapsack(problem);
}
