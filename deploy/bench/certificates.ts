import { type KeyObject, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** DER, as far as a certificate of X.509 needs it (X.690). */
const der = (tag: number, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const time = (days: number) =>
  der(
    0x17,
    Buffer.from(
      `${new Date(Date.now() + days * 86_400_000).toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`,
    ),
  );
const commonName = (name: string) =>
  sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(name)))));
const extension = (id: string, value: Buffer) => sequence(oid(id), der(0x04, value));
const withSha256 = sequence(oid('2a8648ce3d040302')); // ecdsa-with-SHA256
const purposes = { server: '2b06010505070301', client: '2b06010505070302' };

export interface Pair {
  cert: string;
  key: string;
}

function certify(
  subject: string,
  publicKey: KeyObject,
  issuer: { name: string; key: KeyObject },
  extensions: Buffer[],
): string {
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    withSha256,
    commonName(issuer.name),
    sequence(time(-1), time(2)),
    commonName(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, issuer.key));
  const text = sequence(body, withSha256, signature)
    .toString('base64')
    .match(/.{1,64}/g);
  return `-----BEGIN CERTIFICATE-----\n${text?.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** An authority for the bench alone (EC P-256): thousands of certificates in a second, where openssl takes minutes. */
export function benchAuthority() {
  const make = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const own = make();
  const issuer = { name: 'bench', key: own.privateKey };
  const shared = make(); // one key for all clients: what they cost the broker is the same
  const sharedPem = pem(shared.privateKey);
  const isAuthority = sequence(der(0x01, Buffer.from([255])));
  return {
    ca: certify('bench', own.publicKey, issuer, [extension('551d13', isAuthority)]),
    issue(name: string, purpose: keyof typeof purposes): Pair {
      const extensions = [
        extension('551d25', sequence(oid(purposes[purpose]))),
        extension('551d11', sequence(der(0x82, Buffer.from('localhost')))),
      ];
      return { cert: certify(name, shared.publicKey, issuer, extensions), key: sharedPem };
    },
  };
}
