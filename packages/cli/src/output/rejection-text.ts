import { type NodeRejection, NodeRejection_Reason } from "@kedge/proto";

/** Why one node was not chosen, in words. */
export function describeRejection({ reason, subject, wanted, free, total }: NodeRejection): string {
  switch (reason) {
    case NodeRejection_Reason.NOT_READY:
      return `is ${subject}`;
    case NodeRejection_Reason.CORDONED:
      return `is ${subject}`;
    case NodeRejection_Reason.LABEL_MISMATCH:
      return `has another label ${subject}, or none`;
    case NodeRejection_Reason.TAINTED:
      return `has the taint ${subject}`;
    case NodeRejection_Reason.RUNTIME_MISSING:
      return `has no ${subject} runtime`;
    case NodeRejection_Reason.RESOURCE_SHORT:
      return shortage(subject, { wanted, free, total });
    case NodeRejection_Reason.CONSTRAINT:
      return `does not meet the condition on ${subject}`;
    case NodeRejection_Reason.WORKLOAD:
      return `is too near to ${subject}, or not near enough`;
    case NodeRejection_Reason.SPREAD:
      return subject === "copies" ? "has a copy already" : `would have too many copies for its ${subject}`;
    case NodeRejection_Reason.HELD:
      return `has room that is held for ${subject}`;
    case NodeRejection_Reason.QUARANTINED:
      return `is ${subject}`;
    case NodeRejection_Reason.AVOIDED:
      return `is avoided for now: ${subject}`;
    case NodeRejection_Reason.UNSPECIFIED:
      return "cannot take it";
    default:
      return reason satisfies never;
  }
}

/** An amount of a dimension, e.g. "cpu_milli" 1500: "1.5 CPU". */
export function describeAmount(dimension: string, amount: number): string {
  switch (dimension) {
    case "cpu_milli":
      return `${amount / 1000} CPU`;
    case "memory_mib":
      return `${mebibytes(amount)} memory`;
    case "disk_mib":
      return `${mebibytes(amount)} disk`;
    case "gpu.count":
      return `${amount} GPU`;
    case "gpu_milli":
    case "gpu.share_milli":
      return `${amount / 1000} GPU`;
    case "gpu.memory_mib":
      return `${mebibytes(amount)} GPU memory`;
    case "gpu.model":
      return `${amount} GPU of the model`;
    default:
      return `${amount} ${dimension.replace("custom.", "")}`;
  }
}

function shortage(
  subject: string,
  amounts: { readonly wanted: number; readonly free: number; readonly total: number },
) {
  const { wanted, free, total } = amounts;
  const bare = (amount: number): string => describeAmount(subject, amount).split(" ")[0] ?? "";
  return `${describeAmount(subject, wanted)} wanted, ${bare(free)} free of ${bare(total)}`;
}

function mebibytes(amount: number): string {
  return Math.abs(amount) >= 1024 ? `${Number((amount / 1024).toFixed(1))}Gi` : `${amount}Mi`;
}
