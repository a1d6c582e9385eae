export { type Clock, systemClock } from "./clock.ts";
export { createLogger, type LogFields, type Logger, type LoggerOptions, silentLogger } from "./logger.ts";
export { aborted, terminationSignal } from "./process-signals.ts";
export { jitter, newId, secureBytes } from "./random.ts";
export { readAhead } from "./read-ahead.ts";
export { type ReconcileResult, Reconciler, type ReconcilerOptions } from "./reconciler.ts";
export { type Component, ComponentGroup } from "./start-stop.ts";
export { WorkQueue } from "./work-queue.ts";
export { compressZstd, decompressZstd, hasZstd } from "./zstd.ts";
