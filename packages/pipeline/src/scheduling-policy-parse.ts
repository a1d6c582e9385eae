import { create } from "@bufbuild/protobuf";
import {
  type Diagnostic,
  type QuarantinePolicy,
  QuarantinePolicySchema,
  type SchedulingPolicy,
  SchedulingPolicySchema,
  type TeamPolicy,
  TeamPolicySchema,
  type TeamQuota,
  TeamQuotaSchema,
} from "@kedge/proto";
import { readPlainFile } from "./plain-file.ts";
import { type SchedulingPolicyFields, schedulingPolicySchema } from "./scheduling-policy-schema.ts";

/** The policy, absent when any diagnostic is an error, and everything found, sorted by position. */
export interface SchedulingPolicyResult {
  readonly policy?: SchedulingPolicy;
  readonly diagnostics: Diagnostic[];
}

type TeamFields = NonNullable<SchedulingPolicyFields["teams"]>[string];

/** Reads a scheduling policy file. Never throws. `file` is the name used in diagnostics. */
export function parseSchedulingPolicy(text: string, file = "policy.yaml"): SchedulingPolicyResult {
  const read = readPlainFile(text, {
    file,
    called: "policy file",
    asWritten: () => false,
    schema: schedulingPolicySchema,
  });
  const { data, diagnostics } = read;
  return data === undefined ? { diagnostics } : { policy: compilePolicy(data), diagnostics };
}

/** What is absent stays 0, which the controller takes for its default. */
function compilePolicy(fields: SchedulingPolicyFields): SchedulingPolicy {
  const teams = Object.entries(fields.teams ?? {}).map(([name, team]) => [name, compileTeam(team)]);
  return create(SchedulingPolicySchema, {
    teams: Object.fromEntries(teams),
    usageHalfLifeSeconds: fields["usage-half-life"] ?? 0,
    reserveAfterSeconds: fields["reserve-after"] ?? 0,
    maxReservations: fields["max-reservations"] ?? 0,
    noPreemption: fields.preemption === false,
    concurrencyLimits: { ...fields.concurrency },
    ...(fields.quarantine === undefined ? {} : { quarantine: compileQuarantine(fields.quarantine) }),
  });
}

function compileQuarantine(fields: NonNullable<SchedulingPolicyFields["quarantine"]>): QuarantinePolicy {
  return create(QuarantinePolicySchema, {
    manualOnly: fields.automatic === false,
    maxPercent: fields["max-percent"] ?? 0,
    firstSeconds: fields.first ?? 0,
    endTasks: fields["end-tasks"] === true,
  });
}

function compileTeam(team: TeamFields): TeamPolicy {
  const { share = 0, quota } = team ?? {};
  return create(TeamPolicySchema, { share, ...(quota === undefined ? {} : { quota: compileQuota(quota) }) });
}

function compileQuota(quota: NonNullable<NonNullable<TeamFields>["quota"]>): TeamQuota {
  return create(TeamQuotaSchema, {
    cpuMilli: BigInt(quota.cpu ?? 0),
    memoryMib: BigInt(quota.memory ?? 0),
    diskMib: BigInt(quota.disk ?? 0),
    gpuMilli: BigInt(Math.round((quota.gpus ?? 0) * 1000)),
    jobs: quota.jobs ?? 0,
  });
}
