import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They have a command of their own, `npm run test:resources`, because not every machine lets them happen.
    exclude: ['test/resources/**'],
    // Journals wait for the disk and sockets for the kernel: on a loaded machine that takes its time.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    pool: 'forks',
  },
});
