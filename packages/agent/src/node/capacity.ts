import { freemem, loadavg } from "node:os";
import { create } from "@bufbuild/protobuf";
import { type Capacity, CapacitySchema, type GpuDevice } from "@kedge/proto";
import { findGpus } from "./gpu.ts";
import { readMachineFacts } from "./machine-facts.ts";

const MIB = 1024 * 1024;

/** Amounts to report instead of the measured ones; for nodes that lend only a part of themselves, and for demos. */
export interface CapacityOverride {
  readonly cpuMilli?: number;
  readonly memoryMib?: number;
  readonly diskMib?: number;
  readonly gpus?: readonly GpuDevice[];
  /** Custom resources by name, in whole units. */
  readonly custom?: Readonly<Record<string, number>>;
  /** What an hour of this node costs, in any currency as long as all nodes use the same. Default: not told. */
  readonly costPerHour?: number;
}

/**
 * What this machine has in total. Called once per start: devices do not come and go under a running agent.
 *
 * @param dataDir folder whose file system counts as the node's disk.
 */
export async function measureCapacity(dataDir: string, override: CapacityOverride = {}): Promise<Capacity> {
  const [machine, gpus] = await Promise.all([readMachineFacts(dataDir), override.gpus ?? findGpus()]);
  return create(CapacitySchema, {
    cpuMilli: override.cpuMilli ?? machine.cores * 1000,
    memoryMib: override.memoryMib ?? Math.floor(usableBytes(machine.memoryBytes) / MIB),
    diskMib: override.diskMib ?? Math.min(Math.floor(machine.diskBytes / MIB), 0xffff_ffff),
    gpus: [...gpus],
    custom: { ...override.custom },
    costPerHour: override.costPerHour ?? 0,
  });
}

/** Load and free memory right now, for people; both calls cost microseconds. */
export function measureLoad(): { loadAverage: number; freeMemoryMib: number } {
  return { loadAverage: loadavg()[0] ?? 0, freeMemoryMib: Math.floor(freemem() / MIB) };
}

/** The machine's memory, or the control group's limit when the agent itself runs in a smaller container. */
function usableBytes(machine: number): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < machine ? limit : machine;
}
