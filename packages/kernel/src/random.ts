import { randomBytes } from "node:crypto";
import { ulid } from "@kedge/domain";
import type { Clock } from "./clock.ts";

/** Bytes from the machine's cryptographic generator. */
export function secureBytes(length: number): Uint8Array {
  return randomBytes(length);
}

/** A fresh ULID at the clock's time. */
export function newId(clock: Clock): string {
  return ulid(clock.now(), randomBytes(10));
}

/** A number in [0, 1), for jitter; not for secrets. */
export function jitter(): number {
  return Math.random();
}
