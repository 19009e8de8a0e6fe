import { defineConfig } from 'vitest/config';

// Faults of the machine: they need Linux, and rights that not everybody has who runs `npm test`.
export default defineConfig({
  test: {
    include: ['test/resources/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // One at a time: they are about scarce things.
    maxWorkers: 1,
    pool: 'forks',
  },
});
