import { createHash } from 'node:crypto';

/** The host's end of a vserver's veth: at most 15 characters, the same at every start. */
export const vethOf = (name: string): string =>
  `vsv${createHash('sha1').update(name).digest('hex').slice(0, 8)}`;
