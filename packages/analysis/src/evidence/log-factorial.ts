const TABLE_SIZE = 1024;
const TABLE = tabulate(TABLE_SIZE);

/** Natural logarithm of n!, for integers n ≥ 0. Beyond the table Stirling's series, whose error there is below 1e-16 of the result. */
export function logFactorial(n: number): number {
  if (n < TABLE_SIZE) return TABLE[n] ?? Number.NaN;
  const square = n * n;
  return (
    (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + (1 - (1 / 30 - 1 / (105 * square)) / square) / (12 * n)
  );
}

/** Natural logarithm of the number of ways to choose k of n. */
export function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}

function tabulate(size: number): Float64Array {
  const table = new Float64Array(size);
  for (let n = 1; n < size; n++) table[n] = (table[n - 1] ?? 0) + Math.log(n);
  return table;
}
