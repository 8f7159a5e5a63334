import type { Context, Service } from '../../shared/service.ts';

/** The authority: who belongs to the pool. */
export function service(_context: Context): Service {
  return { name: 'authority', handlers: {} };
}
