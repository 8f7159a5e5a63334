import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { seal, sealKey, unseal } from '../../shared/seal.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-seal-'));
const one = { STATE_DIR: join(directory, 'one') };
const two = { STATE_DIR: join(directory, 'two') };
afterAll(() => rmSync(directory, { recursive: true }));

test('a secret is read by the host that it was sealed for, and by no other', () => {
  const sealed = seal('ein Geheimnis', sealKey(one));
  expect(sealed).not.toContain('Geheimnis');
  expect(Buffer.from(sealed, 'base64url').toString()).not.toContain('Geheimnis');
  expect(unseal(one, sealed)).toBe('ein Geheimnis');
  expect(() => unseal(two, sealed)).toThrow(/not sealed for this host/);
  expect(seal('ein Geheimnis', sealKey(one))).not.toBe(sealed);
});

test.each(['', 'x', 'A'.repeat(90)])('rubbish (%s) is refused with a sentence', (text) => {
  expect(() => unseal(one, text)).toThrow(/not sealed for this host/);
});

test('a sealed secret that was changed is refused', () => {
  const sealed = Buffer.from(seal('secret', sealKey(one)), 'base64url');
  sealed[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 1;
  expect(() => unseal(one, sealed.toString('base64url'))).toThrow(/not sealed/);
});

test('the key stays the same, in a file that root alone reads, and leaves nothing beside it', () => {
  const key = sealKey(one);
  expect(sealKey(one)).toBe(key);
  expect(readdirSync(one.STATE_DIR)).toEqual(['seal.pem']);
  expect(statSync(join(one.STATE_DIR, 'seal.pem')).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(one.STATE_DIR, 'seal.pem'), 'utf8')).toContain('PRIVATE KEY');
});
