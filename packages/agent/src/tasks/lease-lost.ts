/** Thrown through a step when the node may no longer run its task. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}
