import { defineConfig } from 'vitest/config';

const common = { experimental: { viteModuleRunner: false }, environment: 'node' as const };

/** The tests of the bus once more, with an external broker; VS_TEST_FULL=1: also those that wait for outages, minutes more. */
const bus = ['access', 'bus-requests', 'heard', 'pool'].map((name) => `test/flow/${name}.test.ts`);
const outages = ['bus-outage', 'cluster'].map((name) => `test/flow/${name}.test.ts`);
const full = process.env['VS_TEST_FULL'] === '1';
if (!full) process.stdout.write('outages of mosquitto and NATS only with VS_TEST_FULL=1: minutes more\n');
const onBroker = (broker: 'mosquitto' | 'nats') => ({
  test: {
    ...common,
    name: `flow-${broker}`,
    include: full ? [...bus, ...outages] : bus,
    exclude: broker === 'nats' ? [] : ['test/flow/cluster.test.ts'],
    env: { VS_TEST_BROKER: broker },
    testTimeout: 90_000,
    hookTimeout: 90_000,
  },
});

// as ./vs has it: taking the types out of TypeScript is most of the start of each process that a test starts, and of each worker
process.env['NODE_COMPILE_CACHE'] ??= new URL('node_modules/.cache/node', import.meta.url).pathname;

// every wait in a test has its own end: these are for what hangs, also on a machine with a third of the speed
export default defineConfig({
  test: {
    maxWorkers: 2, // the tests wait more than they compute
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          ...common,
          name: 'flow',
          include: ['test/flow/**/*.test.ts'],
          exclude: ['test/flow/cluster.test.ts'],
          testTimeout: 90_000,
          hookTimeout: 90_000,
        },
      },
      onBroker('mosquitto'),
      onBroker('nats'),
      { test: { ...common, name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: 900_000 } },
      {
        test: {
          ...common,
          name: 'real',
          include: ['test/real/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        test: {
          ...common,
          name: 'vm',
          include: [
            'test/vm/vm.test.ts',
            ...(process.env['VS_VM_PACKAGE'] === '1' ? ['test/vm/package.test.ts'] : []),
          ],
          testTimeout: 3_600_000,
          hookTimeout: 3_600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
