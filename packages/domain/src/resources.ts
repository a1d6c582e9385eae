import type { Capacity, ResourceRequest } from "@kedge/proto";

/** Amounts by dimension: "cpu_milli", "memory_mib", "disk_mib", and "custom.<name>". GPUs are counted per device, elsewhere. */
export type Amounts = Readonly<Record<string, number>>;

/** The divisible dimensions of a request; dimensions it does not claim are absent. */
export function requestAmounts(request: ResourceRequest | undefined): Amounts {
  const amounts: Record<string, number> = {};
  if (request === undefined) return amounts;
  if (request.cpuMilli > 0) amounts["cpu_milli"] = request.cpuMilli;
  if (request.memoryMib > 0) amounts["memory_mib"] = request.memoryMib;
  if (request.diskMib > 0) amounts["disk_mib"] = request.diskMib;
  for (const [name, amount] of Object.entries(request.custom)) if (amount > 0) amounts[`custom.${name}`] = amount;
  return amounts;
}

/** The divisible dimensions of a node's capacity. */
export function capacityAmounts(capacity: Capacity | undefined): Amounts {
  if (capacity === undefined) return {};
  const amounts: Record<string, number> = {
    cpu_milli: capacity.cpuMilli,
    memory_mib: capacity.memoryMib,
    disk_mib: capacity.diskMib,
  };
  for (const [name, amount] of Object.entries(capacity.custom)) amounts[`custom.${name}`] = amount;
  return amounts;
}

/** a + b, dimension by dimension. */
export function addAmounts(a: Amounts, b: Amounts): Amounts {
  const sum: Record<string, number> = { ...a };
  for (const [dimension, amount] of Object.entries(b)) sum[dimension] = (sum[dimension] ?? 0) + amount;
  return sum;
}

/** a − b, dimension by dimension; may go negative. */
export function subtractAmounts(a: Amounts, b: Amounts): Amounts {
  const rest: Record<string, number> = { ...a };
  for (const [dimension, amount] of Object.entries(b)) rest[dimension] = (rest[dimension] ?? 0) - amount;
  return rest;
}
