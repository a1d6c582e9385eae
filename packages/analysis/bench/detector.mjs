// The anomaly detector behind the interface that the benchmark harness drives:
// createDetector() → { update(epochSeconds, value) → score in [0, 1] }, strictly causal; 0.5 and up is an alarm.
import { createAnomalyDetector } from "@kedge/analysis";

export default function createDetector() {
  const detector = createAnomalyDetector();
  return { update: (epochSeconds, value) => detector.update(epochSeconds, value).score };
}
