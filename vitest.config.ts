import { defineConfig } from 'vitest/config';

const common = { experimental: { viteModuleRunner: false }, environment: 'node' as const };

/** The tests of the bus once more, with an external broker. */
const bus = ['test/flow/access.test.ts', 'test/flow/bus-requests.test.ts', 'test/flow/bus-outage.test.ts'];
const onBroker = (broker: 'mosquitto' | 'nats') => ({
  test: {
    ...common,
    name: `flow-${broker}`,
    include: broker === 'nats' ? [...bus, 'test/flow/cluster.test.ts'] : bus,
    env: { VS_TEST_BROKER: broker },
    testTimeout: 90_000,
    hookTimeout: 90_000,
  },
});

export default defineConfig({
  test: {
    maxWorkers: 2, // the tests wait more than they compute
    projects: [
      { test: { ...common, name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          ...common,
          name: 'flow',
          include: ['test/flow/**/*.test.ts'],
          exclude: ['test/flow/cluster.test.ts'],
          testTimeout: 30_000,
        },
      },
      onBroker('mosquitto'),
      onBroker('nats'),
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
