import { createHash } from 'node:crypto';

/** The host's end of a vserver's veth, in its own network or a further one: at most 15 characters, the same at every start. */
export const vethOf = (name: string, further?: string): string =>
  `vsv${createHash('sha1')
    .update(further === undefined ? name : `${name} ${further}`)
    .digest('hex')
    .slice(0, 8)}`;
