// services/host-agent/limits/limits.ts, as the simulated processes see it: nothing is limited
import type { LimitsOfHost } from '../../../services/host-agent/limits/limits.ts';

export const createLimits = (): LimitsOfHost => ({
  ofHost: async () => ({ layout: { version: {}, swap: false, quota: false, throttle: false }, disks: [] }),
  missing: async () => ({}),
  tell: async () => undefined,
  forget: () => undefined,
  setDisk: async () => ({}),
  readyDisk: async () => ({}),
  report: async (name) => ({ name, running: false, limits: [] }),
  change: async () => Promise.reject(new Error('limits are not simulated')),
  reconcile: async () => undefined,
});
