import { execFile } from "node:child_process";
import { create } from "@bufbuild/protobuf";
import { type GpuDevice, GpuDeviceSchema } from "@kedge/proto";

const QUERY = ["--query-gpu=index,uuid,name,memory.total,driver_version", "--format=csv,noheader,nounits"];
const TIMEOUT_MS = 5000;

/**
 * The NVIDIA devices of this machine; none when `nvidia-smi` is missing or fails.
 *
 * @param program path or name of nvidia-smi.
 */
export function findGpus(program = "nvidia-smi"): Promise<GpuDevice[]> {
  return new Promise((resolve) => {
    execFile(program, QUERY, { timeout: TIMEOUT_MS, encoding: "utf8" }, (error, stdout) => {
      resolve(error === null ? parseGpuList(stdout) : []);
    });
  });
}

/**
 * Reads the CSV that nvidia-smi prints for index, uuid, name, memory.total and driver_version.
 * Lines that are not a usable device are skipped: warnings, MIG instances, devices without an index.
 * A memory of "[N/A]" (a GPU whose memory is split into MIG instances, or one that shares the host's) counts as 0.
 */
export function parseGpuList(csv: string): GpuDevice[] {
  return csv
    .split("\n")
    .map(parseLine)
    .filter((device) => device !== undefined);
}

function parseLine(line: string): GpuDevice | undefined {
  const fields = line.split(",").map((field) => field.trim());
  if (fields.length !== 5) return undefined;
  const [index = "", uuid = "", model = "", memory = "", driver = ""] = fields;
  if (!/^\d{1,4}$/.test(index) || !uuid.startsWith("GPU-")) return undefined;
  return create(GpuDeviceSchema, {
    index: Number(index),
    uuid,
    model,
    memoryMib: /^\d{1,9}$/.test(memory) ? Number(memory) : 0,
    driverVersion: driver.startsWith("[") ? "" : driver,
  });
}
