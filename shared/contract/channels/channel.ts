import type { z } from 'zod';

/** Who has a part in a topic: the broker's roles (an agent: only that of the host in the topic), or the one client in it. */
export type Party = 'agent' | 'master' | 'operator' | 'viewer' | 'client';

/** One topic of the bus, as docs/topics.md, docs/asyncapi.yaml, `vs topics` and `vs listen` tell it. */
export interface Channel {
  /** Below the base (`vs/1`); each `{word}` is one level. */
  topic: string;
  summary: string;
  qos: 0 | 1;
  retained: boolean;
  /** What an empty payload says; without it there is none. */
  empty?: string;
  publishers: Party[];
  readers: Party[];
  payload: z.ZodType;
  example: object;
  /** The topic is spoken for, but nothing publishes on it yet. */
  reserved?: true;
}

export const everyone: Party[] = ['agent', 'master', 'operator', 'viewer'];
export const viewers: Party[] = ['master', 'operator', 'viewer'];
export const operators: Party[] = ['master', 'operator'];
/** The time in all examples. */
export const ts = 1764086400000;
