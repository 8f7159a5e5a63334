import { defineConfig } from 'vitest/config';

const common = { experimental: { viteModuleRunner: false }, environment: 'node' as const };

export default defineConfig({
  test: {
    projects: [
      { test: { ...common, name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { ...common, name: 'flow', include: ['test/flow/**/*.test.ts'], testTimeout: 30_000 } },
      {
        test: {
          ...common,
          name: 'real',
          include: ['test/real/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
