import { isIP } from 'node:net';
import { VsError } from '../../shared/errors.ts';
import type { AltName } from '../../shared/openssl.ts';
import type { RevokedList } from '../../shared/revoked.ts';
import type { Issued } from './ca.ts';

/** One spelling of a name or address. */
export const plain = (name: string): string => {
  if (isIP(name) !== 6) return name.toLowerCase();
  return new URL(`http://[${name}]`).hostname.slice(1, -1); // one spelling of an IPv6 address
};

/** The names and addresses that a certificate counts for. */
export const namesOf = (certificate: Issued['certificate']): string[] =>
  (certificate.subjectAltName ?? '')
    .split(', ')
    .map((one) => plain(one.replace(/^(DNS|IP Address):/, '')))
    .filter(Boolean);

/** Those that still count: not ended, not revoked. */
export const valid = (issued: Issued[], revoked: RevokedList): Issued[] =>
  issued.filter(
    (one) => one.certificate.validToDate.getTime() > Date.now() && revoked.why(one.serial) === undefined,
  );

/**
 * The names of a host's certificate: its own, and the address it says to have. With it a host shows itself to others as a
 * server, so none may have the name or address of the master or of another host. Throws VsError 'conflict'.
 */
export function hostNames(host: string, address: string, others: Issued[]): AltName[] {
  for (const one of others) {
    if (one.name === host) continue;
    const taken = namesOf(one.certificate);
    for (const wanted of [host, address])
      if (taken.includes(plain(wanted)))
        throw new VsError(
          'conflict',
          `${host} cannot have a certificate for ${wanted}: that of ${one.name} has it already${
            wanted === address ? '. Its address is MANAGEMENT_ADDRESS in vs-tools.conf' : ''
          }${one.name === 'master' ? '' : `; if ${one.name} is gone: vs host remove ${one.name}`}`,
        );
  }
  return [
    { kind: 'DNS', value: host },
    { kind: 'IP', value: address },
  ];
}
