import { clone, create } from "@bufbuild/protobuf";
import { type JobSpec, type ResourceRequest, ResourceRequestSchema } from "@kedge/proto";

/** What a job takes of its node: its own request and that of the services beside its steps, which get no GPUs. */
export function jobResources({ resources, services }: JobSpec): ResourceRequest | undefined {
  const beside = services.flatMap((service) => service.resources ?? []);
  if (beside.length === 0) return resources;
  const sum = resources === undefined ? create(ResourceRequestSchema) : clone(ResourceRequestSchema, resources);
  for (const { cpuMilli, memoryMib, diskMib, custom } of beside) {
    sum.cpuMilli += cpuMilli;
    sum.memoryMib += memoryMib;
    sum.diskMib += diskMib;
    for (const [name, amount] of Object.entries(custom)) sum.custom[name] = (sum.custom[name] ?? 0) + amount;
  }
  return sum;
}
