import Alea from 'alea';

/** Random choices that a seed gives again. */
export interface Random {
  /** A whole number from 0 to below `n`. */
  below(n: number): number;
  /** A number from `low` to below `high`. */
  between(low: number, high: number): number;
  chance(share: number): boolean;
  pick<T>(list: readonly [T, ...T[]]): T;
  /** One of the keys, each as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K;
}

/** The choices of a seed. */
export function createRandom(seed: string): Random {
  const next = Alea(seed);
  const below: Random['below'] = (n) => Math.floor(next() * n);
  return {
    below,
    between: (low, high) => low + next() * (high - low),
    chance: (share) => next() < share,
    pick: (list) => list[below(list.length)] ?? list[0],
    weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
      const keys = Object.keys(weights) as [K, ...K[]];
      let left = next() * keys.reduce((sum, key) => sum + weights[key], 0);
      for (const key of keys) {
        left -= weights[key];
        if (left < 0) return key;
      }
      return keys[0];
    },
  };
}
