import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadCreate, parseCreate } from '../../config/create.ts';
import { VsError } from '../../shared/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-create-conf-'));
afterAll(() => rmSync(directory, { recursive: true }));
const fault = (text: string): VsError => {
  try {
    parseCreate(text, 'create.conf');
  } catch (error) {
    if (error instanceof VsError) return error;
    throw error;
  }
  throw new Error(`this was taken: ${text}`);
};

test('shell words, comments, blank lines, quotes of both kinds', () => {
  const text = `# defaults of vs create
TEMPLATE="bookworm"
  HOST=host1
DOMAIN='example.org'   # a comment

NAMESERVER="10.60.10.2 fd60:10::2"
MEMORY = 512m
PROCS=200
CPU=8/10
ENABLE=yes
START=No
`;
  expect(parseCreate(text, 'create.conf')).toEqual({
    source: 'bookworm',
    host: 'host1',
    domain: 'example.org',
    nameserver: '10.60.10.2 fd60:10::2',
    enable: true,
    start: false,
    limits: { memory_bytes: 512 * 1024 ** 2, procs: 200, cpu: 0.8 },
  });
});

test.each([
  ['no text', '', { limits: {} }],
  ['comments alone', '# a\n  # b\n', { limits: {} }],
  ['no line end at the last line', 'PROCS=1\nCPU=2', { limits: { procs: 1, cpu: 2 } }],
  ['line ends of DOS', 'PROCS=1\r\nDOMAIN="x.y"\r\n', { domain: 'x.y', limits: { procs: 1 } }],
  ['quotes of the other kind inside', `TEMPLATE="/it's.tar"\n`, { source: "/it's.tar", limits: {} }],
  ['# inside quotes', 'TEMPLATE="/a # b.tar"\n', { source: '/a # b.tar', limits: {} }],
  ['# inside a word', 'TEMPLATE=/a#b.tar # c\n', { source: '/a#b.tar', limits: {} }],
  ['nothing is run', 'TEMPLATE=$(touch /tmp/x)\n', { source: '$(touch /tmp/x)', limits: {} }],
  [
    'files of the master',
    'SSH_KEY="/root/a.pub /root/b.pub"\nPOST_INSTALL=/etc/x\nPRIVILEGED=yes\n',
    { sshKeyFiles: ['/root/a.pub', '/root/b.pub'], postInstallFile: '/etc/x', privileged: true, limits: {} },
  ],
  ['sizes', 'MEMORY=1.5G\n', { limits: { memory_bytes: 1.5 * 1024 ** 3 } }],
  [
    'every limit',
    'SWAP=0\nDISK=2G\nTMP=64M\nCPU_WEIGHT=200\nIO_READ=10M\nIO_WRITE=8M/s\nNET_IN=100mbit\nNET_OUT=1.5M\n',
    {
      limits: {
        swap_bytes: 0,
        disk_bytes: 2 * 1024 ** 3,
        tmp_bytes: 64 * 1024 ** 2,
        cpu_weight: 200,
        io_read_rate: 10 * 1024 ** 2,
        io_write_rate: 8 * 1024 ** 2,
        net_in_rate: 12_500_000,
        net_out_rate: 1.5 * 1024 ** 2,
      },
    },
  ],
  ['sizes with a unit in words', 'MEMORY=2GiB\n', { limits: { memory_bytes: 2 * 1024 ** 3 } }],
])('%s', (_, text, expected) => {
  expect(parseCreate(text, 'create.conf')).toEqual(expected);
});

test('every fault is named by file and line, all at once, and nothing is taken', () => {
  const error = fault(`# comment
PROCS=10
procs=20

PROCS=20
export CPU=1
just words
=value
VLAN=10
MEMORY=much
CPU=none
ENABLE=maybe
NAMESERVER=here
TEMPLATE=
DOMAIN="open
SSH_KEY=/a b
`);
  expect(error.code).toBe('usage');
  expect(error.message.split('\n')).toEqual([
    'create.conf:3: expected KEY=value, found "procs=20"',
    'create.conf:5: PROCS is set already',
    'create.conf:6: expected KEY=value, found "export CPU=1"',
    'create.conf:7: expected KEY=value, found "just words"',
    'create.conf:8: expected KEY=value, found "=value"',
    'create.conf:9: unknown key VLAN; known are TEMPLATE, HOST, DOMAIN, NAMESERVER, MEMORY, SWAP, DISK, TMP, PROCS, CPU, CPU_WEIGHT, IO_READ, IO_WRITE, NET_IN, NET_OUT, ENABLE, START, SSH_KEY, POST_INSTALL, PRIVILEGED',
    'create.conf:10: MEMORY: expected a size such as 512M or 2G, found "much"',
    'create.conf:11: CPU: expected cores such as 0.8 or 8/10, found "none"',
    'create.conf:12: ENABLE: expected yes or no, found "maybe"',
    'create.conf:13: NAMESERVER: expected IP addresses, found "here"',
    'create.conf:14: TEMPLATE: the value is empty',
    'create.conf:15: DOMAIN: a quote is not closed',
    'create.conf:16: SSH_KEY: expected the absolute path of a file, found "b"',
  ]);
});

test('a long line is quoted in part only', () => {
  const { message } = fault(`${'x'.repeat(5000)}\n`);
  expect(message.length).toBeLessThan(120);
});

test('the file of a configuration directory; none is no fault, one that cannot be read is', async () => {
  expect(await loadCreate({ CONFIG_DIR: directory })).toEqual({ limits: {} });
  writeFileSync(join(directory, 'create.conf'), 'PROCS=7\n');
  expect(await loadCreate({ CONFIG_DIR: directory })).toEqual({ limits: { procs: 7 } });
  writeFileSync(join(directory, 'create.conf'), 'PROCS\n');
  await expect(loadCreate({ CONFIG_DIR: directory })).rejects.toThrow(`${directory}/create.conf:1: expected`);
  await expect(loadCreate({ CONFIG_DIR: join(directory, 'create.conf') })).rejects.toThrow(/ENOTDIR/);
});

test('the sample is taken', async () => {
  const samples = new URL('../../config/samples', import.meta.url).pathname;
  expect(await loadCreate({ CONFIG_DIR: samples })).toBeTypeOf('object');
});
