import { expect, it } from "vitest";
import { ExposureMeter, sumExposures } from "./replica-exposure.ts";

function meter() {
  let now = 1000;
  const exposure = new ExposureMeter({ ...NO_TIMERS, now: () => now, monotonic: () => now });
  return {
    exposure,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

const NO_TIMERS = { sleep: () => new Promise<void>(() => {}), after: () => () => {} };

it("counts time ready, not that of starting up, and an end of a replica that was at risk", () => {
  const { exposure, pass } = meter();
  pass(5000);
  expect(exposure.take()).toMatchObject({ readyMs: 0n, replicas: 0, restarts: 0 });
  exposure.begin();
  pass(200);
  expect(exposure.take()).toMatchObject({ readyMs: 200n, replicas: 0 });
  pass(100);
  exposure.end({ outOfMemory: true });
  pass(3000);
  expect(exposure.take()).toMatchObject({ readyMs: 100n, replicas: 1, restarts: 1, oomKills: 1 });
  expect(exposure.take()).toMatchObject({ readyMs: 0n, replicas: 0, restarts: 0, oomKills: 0 });
});

it("counts no end that was asked for, none while starting up, and none of a replica not yet at risk", () => {
  const { exposure, pass } = meter();
  exposure.end({ outOfMemory: false });
  exposure.begin();
  pass(10);
  exposure.end({ outOfMemory: false });
  expect(exposure.take()).toMatchObject({ readyMs: 10n, restarts: 0 });
  exposure.begin();
  exposure.take();
  exposure.end();
  expect(exposure.take()).toMatchObject({ replicas: 1, restarts: 0 });
});

it("adds replicas up by revision", () => {
  const [a, b, c] = [meter(), meter(), meter()];
  for (const { exposure, pass } of [a, b, c]) {
    exposure.begin();
    exposure.take();
    pass(10);
  }
  b.exposure.end({ outOfMemory: false });
  const each = [a, b, c].map(({ exposure }, i) => ({ revision: i < 2 ? 1 : 2, exposure: exposure.take() }));
  const sums = sumExposures(each);
  expect(sums.get(1)).toMatchObject({ readyMs: 20n, replicas: 2, restarts: 1 });
  expect(sums.get(2)).toMatchObject({ readyMs: 10n, replicas: 1, restarts: 0 });
});
