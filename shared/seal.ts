import {
  type KeyObject,
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
} from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../config/settings.ts';
import { VsError } from './errors.ts';

const IV = 12;
const TAG = 16;

const rawOf = (key: KeyObject): Buffer => Buffer.from(String(key.export({ format: 'jwk' }).x), 'base64url');
const publicOf = (raw: Buffer): KeyObject =>
  createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: raw.toString('base64url') }, format: 'jwk' });
const keyOf = (privateKey: KeyObject, publicKey: KeyObject, ephemeral: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', diffieHellman({ privateKey, publicKey }), ephemeral, 'vs-tools seal 1', 32));

/** The private key of this host, made once (STATE_DIR/seal.pem, 0600); it never leaves it. */
function ownKey({ STATE_DIR }: Pick<Settings, 'STATE_DIR'>): KeyObject {
  const file = join(STATE_DIR, 'seal.pem');
  if (!existsSync(file)) {
    mkdirSync(STATE_DIR, { recursive: true, mode: 0o700 });
    const fresh = `${file}.${randomBytes(6).toString('hex')}.tmp`;
    const { privateKey } = generateKeyPairSync('x25519');
    writeFileSync(fresh, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600, flush: true });
    try {
      linkSync(fresh, file); // fails when another process of this host was first
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      rmSync(fresh);
    }
  }
  return createPrivateKey(readFileSync(file));
}

/** The key with which others seal secrets for this host; public, 43 characters. */
export const sealKey = (settings: Pick<Settings, 'STATE_DIR'>): string =>
  rawOf(createPublicKey(ownKey(settings))).toString('base64url');

/**
 * Seals a secret so that one host alone can read it: a command lies open for every operator who listens to its
 * topic. X25519, HKDF-SHA256, AES-256-GCM (RFC 7748, RFC 5869).
 */
export function seal(secret: string, receiver: string): string {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  const ephemeral = rawOf(publicKey);
  const iv = randomBytes(IV);
  const key = keyOf(privateKey, publicOf(Buffer.from(receiver, 'base64url')), ephemeral);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
  return Buffer.concat([ephemeral, iv, cipher.getAuthTag(), text]).toString('base64url');
}

/** A key for one answer: who is asked seals with it what nobody else on the way may read. */
export function oneTimeSeal(): { key: string; open(sealed: string): string } {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return {
    key: rawOf(publicKey).toString('base64url'),
    open: (sealed) => openWith(privateKey, sealed, 'a secret came with an answer that was not sealed for us'),
  };
}

/** Opens what was sealed for this host. */
export const unseal = (settings: Pick<Settings, 'STATE_DIR'>, sealed: string): string =>
  openWith(ownKey(settings), sealed, 'a secret that came with a command was not sealed for this host');

function openWith(privateKey: KeyObject, sealed: string, otherwise: string): string {
  try {
    const all = Buffer.from(sealed, 'base64url');
    const ephemeral = all.subarray(0, 32);
    const iv = all.subarray(32, 32 + IV);
    const tag = all.subarray(32 + IV, 32 + IV + TAG);
    const decipher = createDecipheriv('aes-256-gcm', keyOf(privateKey, publicOf(ephemeral), ephemeral), iv);
    decipher.setAuthTag(tag);
    return decipher.update(all.subarray(32 + IV + TAG), undefined, 'utf8') + decipher.final('utf8');
  } catch (error) {
    throw new VsError('refused', otherwise, { cause: error });
  }
}
