import { readFileSync } from "node:fs";
import { uptime } from "node:os";

/**
 * Milliseconds since the machine was booted, in steps of ten. Unlike a process's monotonic clock it goes on while the
 * machine is suspended, and every process reads the same value; unlike the wall clock nobody sets it.
 */
export function bootTimeMs(): number {
  return Math.floor(uptime() * 1000);
}

/** Names this boot of the machine, from which `bootTimeMs` counts. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "ascii").trim();
}
