import type { CanaryWave } from "@kedge/proto";

/** The wave that a node with these labels is in: the first that it fits, else the last. */
export function waveIndex(waves: readonly CanaryWave[], labels: Readonly<Record<string, string>>): number {
  const fits = ({ nodeSelector }: CanaryWave): boolean =>
    Object.entries(nodeSelector).every(([key, value]) => labels[key] === value);
  const found = waves.findIndex(fits);
  return found < 0 ? waves.length - 1 : found;
}
