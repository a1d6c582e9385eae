// The judge behind the interface that the benchmark harness drives: createJudge({ alpha }) → { observe(window) }.
import { createJudge } from "@kedge/analysis";

export default function createBenchJudge({ alpha }) {
  const judge = createJudge({ alpha });
  return {
    observe(window) {
      const { verdict, metric, evidence, reason } = judge.observe(window);
      return { verdict, metric, evidence, reason };
    },
  };
}
