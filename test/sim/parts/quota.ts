// services/snapshot/quota.ts, as the simulated processes see it: the space of a tree is not limited
import type { Quota } from '../../../services/snapshot/quota.ts';

export const quotaOf = (): Quota => ({
  how: 'qgroup',
  missing: async () => 'it is simulated',
  ready: async () => undefined,
  look: async () => ({}),
  limit: async () => undefined,
  tidy: async () => undefined,
});
