import { create } from "@bufbuild/protobuf";
import { type Amounts, addAmounts, requestAmounts } from "@kedge/domain";
import { GpuRequestSchema, type ResourceRequest, ResourceRequestSchema } from "@kedge/proto";

const CUSTOM = "custom.";

/**
 * What several claims on one node come to, as the API shows it. Of GPUs, `count` is the whole devices that are claimed;
 * `share_milli` and `memory_mib` are what parts of devices add up to, over all devices.
 */
export function sumOf(requests: readonly (ResourceRequest | undefined)[]): ResourceRequest {
  const sum = requests.map(requestAmounts).reduce<Amounts>(addAmounts, {});
  const custom = Object.entries(sum).filter(([dimension]) => dimension.startsWith(CUSTOM));
  const gpus = requests.flatMap((request) => request?.gpu ?? []);
  const parts = gpus.filter(({ count }) => count === 0);
  const gpu = create(GpuRequestSchema, {
    count: total(gpus.map(({ count }) => count)),
    shareMilli: total(parts.map(({ shareMilli }) => shareMilli)),
    memoryMib: total(parts.map(({ memoryMib }) => memoryMib)),
  });
  return create(ResourceRequestSchema, {
    cpuMilli: sum["cpu_milli"] ?? 0,
    memoryMib: sum["memory_mib"] ?? 0,
    diskMib: sum["disk_mib"] ?? 0,
    custom: Object.fromEntries(custom.map(([dimension, amount]) => [dimension.slice(CUSTOM.length), amount])),
    ...(gpus.length === 0 ? {} : { gpu }),
  });
}

const total = (amounts: readonly number[]): number => amounts.reduce((sum, amount) => sum + amount, 0);
