import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { addressOf, certificateOf, tokenOf } from '../../services/exporter/listen.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-exporter-'));
const file = join(directory, 'token');
afterAll(() => rmSync(directory, { recursive: true }));
const settings = (env: Record<string, string>) => loadSettings({ file: join(directory, 'none'), env });

test('on loopback the metrics need nothing; elsewhere a token and TLS, or so many words', () => {
  const at = (listen: string, more: Record<string, string> = {}) =>
    addressOf(settings({ VS_METRICS_LISTEN: listen, ...more }));
  expect(at('127.0.0.1:9469')).toEqual({ host: '127.0.0.1', port: 9469 });
  expect(at('[::1]:80')).toEqual({ host: '::1', port: 80 });
  expect(at('localhost:9469')).toEqual({ host: 'localhost', port: 9469 });
  const both = {
    VS_METRICS_TOKEN_FILE: '/t',
    VS_METRICS_TLS_CERT: '/c',
    VS_METRICS_TLS_KEY: '/k',
  };
  for (const outside of [
    '0.0.0.0:9469',
    '192.0.2.1:9469',
    '[::]:9469',
    '[::ffff:192.0.2.1]:1',
    'master:9469',
  ]) {
    expect(() => at(outside)).toThrow('open to everybody');
    expect(() => at(outside, { VS_METRICS_TOKEN_FILE: '/t' })).toThrow('METRICS_TLS_CERT');
    expect(() => at(outside, { ...both, VS_METRICS_TOKEN_FILE: '' })).toThrow('METRICS_TOKEN_FILE');
    expect(at(outside, both)).toBeTruthy();
    expect(at(outside, { VS_METRICS_OPEN_OUTSIDE: 'yes' })).toBeTruthy();
  }
});

test('an address that is none is told by the settings', () => {
  for (const wrong of ['9469', '127.0.0.1', '127.0.0.1:99999', 'a b:1', '127.0.0.1:1/x', 'user@host:1'])
    expect(() => settings({ VS_METRICS_LISTEN: wrong })).toThrow('METRICS_LISTEN: an address such as');
  for (const wrong of ['homeassistant/', '/a', 'a/+', '#', 'a b', 'a/b/c/d/e'])
    expect(() => settings({ VS_HOMEASSISTANT_PREFIX: wrong })).toThrow('HOMEASSISTANT_PREFIX');
});

test('a token is one long word in a file that not everybody may read', () => {
  writeFileSync(file, 'sixteen-letters-x\n', { mode: 0o600 });
  expect(tokenOf(file)).toBe('sixteen-letters-x');
  chmodSync(file, 0o644);
  expect(() => tokenOf(file)).toThrow('every user may read');
  chmodSync(file, 0o600);
  for (const wrong of [
    '',
    'short',
    'two words of many letters',
    'line-of-16-letters\nsecond-of-16-letters',
  ]) {
    writeFileSync(file, wrong);
    expect(() => tokenOf(file)).toThrow('one word of at least 16 letters');
  }
  expect(() => tokenOf(join(directory, 'none'))).toThrow('(METRICS_TOKEN_FILE) cannot be read');
});

test('certificate and key go together', () => {
  expect(certificateOf(settings({}))).toBeUndefined();
  expect(() => certificateOf(settings({ VS_METRICS_TLS_CERT: '/c' }))).toThrow('go together');
  expect(() => certificateOf(settings({ VS_METRICS_TLS_CERT: '/c', VS_METRICS_TLS_KEY: '/k' }))).toThrow(
    '/c (METRICS_TLS_CERT) cannot be read',
  );
});
