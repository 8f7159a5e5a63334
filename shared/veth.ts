import { createHash } from 'node:crypto';

/** The host's end of a vserver's veth, in its own network or a further one: at most 15 characters, the same at every start. */
export const vethOf = (name: string, further?: string): string =>
  `vsv${createHash('sha1')
    .update(further === undefined ? name : `${name} ${further}`)
    .digest('hex')
    .slice(0, 8)}`;

/** Is a device the host's end of a vserver's veth? */
export const isVeth = (device: string): boolean => /^vsv[0-9a-f]{8}$/.test(device);

/** Is a device the port of a check (services/network/probe.ts)? */
export const isProbe = (device: string): boolean => /^vsp[a-z0-9]{1,6}$/.test(device);
