// Seeded random numbers for the benchmarks.

/** Uniform numbers in [0, 1) from a seed (mulberry32, T. Ettinger, public domain). */
export function seededRandom(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Draws from the distributions that the simulators need. */
export function seededDraws(seed) {
  const uniform = seededRandom(Math.imul(seed, 2654435761) + 97);
  for (let i = 0; i < 5; i++) uniform();
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const between = (low, high) => low + (high - low) * uniform();
  return {
    uniform,
    normal,
    between,
    whole: (low, high) => Math.floor(between(low, high + 1)),
    pick: (list) => list[Math.floor(uniform() * list.length)],
    lognormal: (sigma) => Math.exp(sigma * normal()),
    /** Student's t with 3 degrees of freedom, unit scale: heavy tails. */
    heavy: () => normal() / Math.sqrt((normal() ** 2 + normal() ** 2 + normal() ** 2) / 3),
    /** Poisson, by its normal limit where the mean is large. */
    poisson(mean) {
      if (mean > 40) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal()));
      let count = 0;
      for (let product = uniform(), limit = Math.exp(-mean); product > limit; product *= uniform()) count++;
      return count;
    },
  };
}
