import { pino } from 'pino';

export type Log = pino.Logger;

/** One JSON line per event on stderr; values under secret, password and authorization never appear. */
export function createLog(level: string, name: string): Log {
  return pino(
    {
      level,
      name,
      base: { name },
      redact: {
        paths: ['secret', '*.secret', 'password', '*.password', 'authorization', '*.authorization'],
        censor: '[hidden]',
      },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
