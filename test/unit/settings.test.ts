import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-settings-'));
const file = join(directory, 'vs-tools.conf');
afterAll(() => rmSync(directory, { recursive: true }));

test('defaults hold when there is no file', () => {
  const settings = loadSettings({ file: join(directory, 'none'), env: {} });
  expect(settings.BROKER_URL).toBe('mqtt://127.0.0.1:1883');
  expect(settings.TEMPLATE_DIR).toBe('/var/lib/vs-tools/templates');
});

test('the environment wins over the file', () => {
  writeFileSync(file, '# a comment\nHOST=host1\nMTU="1400"\n');
  const settings = loadSettings({ file, env: { VS_HOST: 'host7' } });
  expect(settings.HOST).toBe('host7');
  expect(settings.MTU).toBe(1400);
});

test('every fault is told at once, by file and line', () => {
  writeFileSync(file, 'HOST=Bad_Name\nnonsense\nCOLOUR=red\nMTU=9\n');
  const attempt = () => loadSettings({ file, env: { VS_ROLE: 'king' } });
  for (const part of [`${file}:1`, `${file}:2`, `${file}:3`, 'COLOUR', `${file}:4`, 'environment VS_ROLE'])
    expect(attempt).toThrow(part);
});
