import { KedgeError } from "@kedge/domain";

const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** Fails with `INVALID_FIELD` unless the id is safe as a file name and as part of a container's name. */
export function assertWorkloadId(id: string): void {
  if (ID.test(id)) return;
  throw new KedgeError("INVALID_FIELD", `a workload's id must match ${ID.source}, not ${JSON.stringify(id)}`, {
    field: "id",
  });
}

/** Tells whether a workload's labels include all those wanted. */
export function hasLabels(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
