import createHighs from "highs";

const highs = await createHighs();

/** What no packing is worth more than: the knapsack with items that can be split, solved by HiGHS. */
export function lpBound({ values, weights, capacities }) {
  const terms = (amounts) => amounts.map((amount, j) => `+ ${amount} x${j}`).join("\n");
  const rows = weights.map((row, i) => `c${i}: ${terms(row)} <= ${capacities[i]}`);
  const bounds = values.map((_, j) => `0 <= x${j} <= 1`);
  const text = ["Maximize", `v: ${terms(values)}`, "Subject To", ...rows, "Bounds", ...bounds, "End"].join("\n");
  const { Status, ObjectiveValue } = highs.solve(text);
  if (Status !== "Optimal") throw new Error(`HiGHS ended ${Status}`);
  return ObjectiveValue;
}
