// Labelled series in the manner of server monitoring: what is normal differs from family to family, and so does what is not.
import { seededDraws } from "./seeded.mjs";

const DAY = 86_400;

/** Each family: how one labelled series is made from random draws. Events are [first row, last row]. */
const FAMILIES = {
  spikes(draws) {
    const sigma = draws.between(0.5, 3);
    const phi = draws.between(0, 0.8);
    let noise = 0;
    return build(draws, { interval: 300, rows: 3000, events: 2, length: [1, 3] }, (_row, event) => {
      noise = phi * noise + sigma * Math.sqrt(1 - phi * phi) * draws.normal();
      return 40 + noise + (event ? event.sign * sigma * event.size * 8 : 0);
    });
  },
  "level shift": (draws) => {
    const sigma = draws.between(1, 4);
    return build(draws, { interval: 300, rows: 3000, events: 1, length: [150, 300] }, (_row, event) => {
      return 60 + sigma * draws.normal() + (event ? event.sign * sigma * event.size * 2.5 : 0);
    });
  },
  "variance change": (draws) => {
    const sigma = draws.between(1, 4);
    return build(draws, { interval: 60, rows: 3000, events: 1, length: [100, 250] }, (_row, event) => {
      return 100 + sigma * (event ? 2.5 * event.size : 1) * draws.normal();
    });
  },
  "flat line": (draws) => {
    const shape = cycle(draws, DAY, 300);
    let last = 0;
    return build(draws, { interval: 300, rows: 4000, events: 1, length: [100, 200] }, (row, event) => {
      if (!event) last = 50 + 20 * shape(row) + 2 * draws.normal();
      return last;
    });
  },
  "daily, count drops or surges": (draws) => {
    const shape = cycle(draws, DAY, 300);
    const base = draws.between(20, 300);
    return build(draws, { interval: 300, rows: 4000, events: 2, length: [12, 40] }, (row, event) => {
      const factor = event ? (event.sign > 0 ? 1.6 * event.size : 0.4 / event.size) : 1;
      return draws.poisson(base * (1 + 0.7 * shape(row)) * factor);
    });
  },
  "weekly, hourly values": (draws) => {
    const shape = cycle(draws, DAY, 3600);
    const weekend = draws.between(0.3, 0.8);
    return build(draws, { interval: 3600, rows: 1500, events: 2, length: [1, 6] }, (row, event) => {
      const day = Math.floor((row * 3600) / DAY) % 7;
      const level = 1000 * (1 + 0.5 * shape(row)) * (day >= 5 ? weekend : 1);
      return level * (1 + 0.04 * draws.normal()) + (event ? event.sign * event.size * 350 : 0);
    });
  },
  "daily shape missing": (draws) => {
    const on = draws.whole(80, 110);
    const off = on + draws.whole(60, 120);
    return build(
      draws,
      { interval: 300, rows: 4032, events: 1, length: [100, 144], align: 288, offset: on },
      (row, event) => {
        const inside = row % 288 >= on && row % 288 < off;
        return (inside && !event ? 80 : 20) + 2 * draws.normal();
      },
    );
  },
  "nightly job, wrong time": (draws) => {
    const at = draws.whole(10, 270);
    return build(draws, { interval: 300, rows: 4032, events: 1, length: [6, 10] }, (row, event) => {
      const job = row % 288 >= at && row % 288 < at + 8;
      return (job || event ? 90 : 15) + 3 * Math.abs(draws.heavy());
    });
  },
  "heavy tails": (draws) => {
    const scale = draws.between(5, 50);
    return build(draws, { interval: 60, rows: 4000, events: 1, length: [20, 60] }, (_row, event) => {
      return scale * draws.lognormal(0.6) * (event ? 3.5 * event.size : 1);
    });
  },
  "trend, then leak": (draws) => {
    const slope = draws.between(-0.01, 0.02);
    return build(draws, { interval: 300, rows: 3000, events: 1, length: [200, 300] }, (row, event) => {
      return 200 + slope * row + 2 * draws.normal() + (event ? event.size * 0.12 * event.row : 0);
    });
  },
  "random walk, jump": (draws) => {
    let level = 500;
    return build(draws, { interval: 300, rows: 3000, events: 1, length: [60, 150] }, (_row, event) => {
      level += draws.normal();
      return level + 0.3 * draws.normal() + (event ? event.sign * event.size * 15 : 0);
    });
  },
  "gaps, NaN, irregular": (draws) => {
    const shape = cycle(draws, DAY, 300);
    const series = build(draws, { interval: 300, rows: 4000, events: 2, length: [4, 12] }, (row, event) => {
      return 50 + 15 * shape(row) + 2 * draws.normal() + (event ? event.sign * event.size * 14 : 0);
    });
    return punctured(draws, series);
  },
  "concept drift, no event": (draws) => {
    const shape = cycle(draws, DAY, 300);
    return build(draws, { interval: 300, rows: 4000, events: 0, length: [1, 1] }, (row) => {
      return 50 + row * 0.01 + (15 + row * 0.004) * shape(row) + (2 + row * 0.0005) * draws.normal();
    });
  },
  "nothing, autocorrelated": (draws) => {
    let noise = 0;
    return build(draws, { interval: 60, rows: 4000, events: 0, length: [1, 1] }, () => {
      noise = 0.95 * noise + 0.3 * draws.normal();
      return 20 + noise + 0.2 * draws.heavy();
    });
  },
};

/** `perFamily` seeded series of every family: { family, points: [epochSeconds, value][], events: [first, last][] }. */
export function labelledSeries(perFamily, seed) {
  return Object.entries(FAMILIES).flatMap(([family, make], index) =>
    Array.from({ length: perFamily }, (_, i) => ({
      family,
      ...make(seededDraws(seed * 1_000_003 + index * 1009 + i)),
    })),
  );
}

/** A series of `value(row, event)`; events start after the first quarter, apart from each other, with a random sign and size 1 to 2. */
function build(draws, { interval, rows, events, length, align, offset = 0 }, value) {
  const start = 1_700_006_400 - (1_700_006_400 % (7 * DAY));
  const planned = Array.from({ length: events }, (_, i) => {
    const part = (rows * 0.7) / events;
    let first = Math.floor(rows * 0.27 + part * (i + draws.between(0.05, 0.6)));
    if (align) first = Math.floor(first / align) * align + offset;
    const last = Math.min(rows - 1, first + draws.whole(length[0], length[1]) - 1);
    return { first, last, sign: draws.uniform() < 0.5 ? -1 : 1, size: draws.between(1, 2) };
  });
  const points = Array.from({ length: rows }, (_, row) => {
    const event = planned.find(({ first, last }) => row >= first && row <= last);
    return [start + row * interval, value(row, event && { ...event, row: row - event.first })];
  });
  return { points, events: planned.map(({ first, last }) => [first, last]) };
}

/** A smooth daily curve of two harmonics within about [-1, 1]. */
function cycle(draws, period, interval) {
  const [a, b, share] = [draws.between(0, 6.28), draws.between(0, 6.28), draws.between(0.1, 0.4)];
  return (row) => {
    const angle = (2 * Math.PI * row * interval) / period;
    return (1 - share) * Math.sin(angle + a) + share * Math.sin(2 * angle + b);
  };
}

/** The same series with jittered times, values that are not numbers, and rows missing outside events. */
function punctured(draws, { points, events }) {
  const kept = [];
  const rowOf = new Map();
  let gap = 0;
  for (const [row, [time, value]] of points.entries()) {
    const inEvent = events.some(([first, last]) => row >= first - 30 && row <= last);
    if (gap > 0) gap--;
    else if (!inEvent && draws.uniform() < 0.004) gap = draws.whole(2, 60);
    if (gap > 0 && !inEvent) continue;
    rowOf.set(row, kept.length);
    kept.push([time + draws.between(-60, 60), draws.uniform() < 0.02 && !inEvent ? Number.NaN : value]);
  }
  return { points: kept, events: events.map(([first, last]) => [rowOf.get(first), rowOf.get(last)]) };
}
