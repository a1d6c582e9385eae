import { expect, test } from "vitest";
import { createJudge } from "./judge.ts";

/** Canaries that Kayenta's judge passes although their reporters saw them as worse: baseline and canary points. */
const VECTORS = {
  "spinnaker#6278: most points a hundred times as high": {
    baseline: Array.from({ length: 10 }, () => 1),
    canary: [...Array.from({ length: 7 }, () => 100), 1, 1, 1],
  },
  "kayenta#426: counts where there were none": { baseline: [0, 0, 0, 0, 0, 0], canary: [0, 1, 2, 1, 0, 0] },
  "kayenta#780: every point above half of the baseline's": {
    baseline: [1, 100, 4, 101, 5, 102, 6, 103, 7, 104, 8, 105, 9, 106, 17],
    canary: [10, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 17, 17.1, 17.2, 17.3, 17.4, 17.5, 17.6, 17.7],
  },
};

/**
 * Six points against six can be of either arm in 924 ways, so no test of level 0.01 can decide on the second vector once
 * (its three points above zero are all the canary's by chance once in eleven). A canary goes on being watched, so the
 * pattern is shown until it is decided.
 */
test.each(Object.entries(VECTORS))("%s is rolled back within four looks", (_name, arms) => {
  const judge = createJudge({ alpha: 0.01 });
  const looks = Array.from({ length: 4 }, () =>
    judge.observe({
      seconds: 60,
      weight: 0.5,
      baseline: { requests: arms.baseline.length, errors: 0, latencyMs: arms.baseline },
      canary: { requests: arms.canary.length, errors: 0, latencyMs: arms.canary },
    }),
  );
  for (const look of looks) expect(look.verdict).not.toBe("pass");
  expect(looks.at(-1)).toMatchObject({ verdict: "rollback", metric: "latency" });
});

test.each(Object.entries(VECTORS))("%s: the same points on both arms are not", (_name, { canary }) => {
  const judge = createJudge({ alpha: 0.01 });
  for (let i = 0; i < 50; i++) {
    const arm = { requests: canary.length, errors: 0, latencyMs: canary };
    expect(judge.observe({ seconds: 60, weight: 0.5, baseline: arm, canary: arm }).verdict).not.toBe("rollback");
  }
});
