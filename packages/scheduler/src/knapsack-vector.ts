/** The amount at an index that is known to be there. For one kind of array only: with more, engines make it slow. */
export function at(amounts: Float64Array, index: number): number {
  return amounts[index] as number;
}

/** The sum of the products, of two vectors of one length. */
export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += at(a, i) * at(b, i);
  return sum;
}

/** Whether no amount exceeds the limit of its resource. */
export function isWithin(amounts: Float64Array, limits: Float64Array): boolean {
  for (let i = 0; i < amounts.length; i++) if (at(amounts, i) > at(limits, i)) return false;
  return true;
}

/** `isWithin` for the sum of two vectors. */
export function isSumWithin(a: Float64Array, b: Float64Array, limits: Float64Array): boolean {
  for (let i = 0; i < a.length; i++) if (at(a, i) + at(b, i) > at(limits, i)) return false;
  return true;
}

/** `amounts += change`, in place. */
export function addTo(amounts: Float64Array, change: Float64Array): void {
  for (let i = 0; i < amounts.length; i++) amounts[i] = at(amounts, i) + at(change, i);
}
