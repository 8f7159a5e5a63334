// services/template/main.ts, as the simulated processes see it: busybox alone
import type { Service } from '../../../shared/service.ts';
import { later } from '../current.ts';

export const service = (): Service => ({
  name: 'template',
  handlers: {
    'template.look': async () => ({ kind: 'busybox' as const, text: 'busybox' }),
    'template.ensure': () => later('template', 20, () => ({ kind: 'busybox' as const })),
  },
});
