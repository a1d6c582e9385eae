import type { TaskFinished } from "@kedge/proto";

/** What one job may report; a run's document holds the reports of all its jobs and must stay below 900 KiB. */
export const REPORT_LIMITS = { outputs: 200, metrics: 1000, bytes: 64 * 1024, textLength: 2000 } as const;

/** What is too much about a job's report; undefined when it is within the limits. */
export function excessOf({ outputs, metrics }: TaskFinished): string | undefined {
  const [names, values] = [Object.keys(metrics), Object.entries(outputs)];
  if (values.length > REPORT_LIMITS.outputs) return `it reported more than ${REPORT_LIMITS.outputs} outputs`;
  if (names.length > REPORT_LIMITS.metrics) return `it reported more than ${REPORT_LIMITS.metrics} metrics`;
  const bytes = [...names, ...values.flat()].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return bytes > REPORT_LIMITS.bytes ? `its outputs and metrics exceed ${REPORT_LIMITS.bytes} bytes` : undefined;
}

/** A text from an agent, cut to what a document keeps. */
export function clipText(text: string): string {
  return text.length <= REPORT_LIMITS.textLength ? text : `${text.slice(0, REPORT_LIMITS.textLength)}…`;
}
