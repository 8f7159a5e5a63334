import { crc32, inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { draw, roundUp } from '../../shared/chart/draw.ts';
import { pngOf } from '../../shared/chart/png.ts';
import { svgOf } from '../../shared/chart/svg.ts';
import { age, figureText, sparkline } from '../../cli/stats/figures.ts';
import { fromTopics } from '../../cli/stats/newest.ts';
import { chartOf } from '../../cli/stats/plot.ts';
import { parseSpan } from '../../cli/stats/span.ts';
import { details, overview, past } from '../../cli/stats/tables.ts';
import { ranked, topText } from '../../cli/verbs/top.ts';
import { channels } from '../../shared/contract/channels.ts';
import type { NewestFigures } from '../../shared/contract/history.ts';
import type { Metrics } from '../../shared/contract/host.ts';

const figures = channels['vserverMetrics']?.example as Metrics;
const one = (name: string, more: Partial<NewestFigures> = {}): NewestFigures => ({
  kind: 'vserver',
  name,
  host: 'host1',
  state: 'running',
  address: '10.60.10.5',
  ts: 1_764_086_400_000,
  figures,
  rates: { net_rx_bytes: 1000, net_tx_bytes: 500, io_read_bytes: 0, io_write_bytes: 2e6 },
  ...more,
});
const host = (name: string): NewestFigures =>
  one(name, {
    kind: 'host',
    host: name,
    state: 'online',
    figures: channels['hostMetrics']?.example as Metrics,
  });
const widest = (text: string) => Math.max(...text.split('\n').map((line) => line.length));

test('units for people', () => {
  expect([
    figureText('cpu_pct', 3.14),
    figureText('cpu_pct', 0.02),
    figureText('mem_bytes', 201_326_592),
    figureText('net_rx_bytes', 1_204_224),
    figureText('net_rx_bytes', 1_204_224, false),
    figureText('load_1', 0.4),
    figureText('uptime_seconds', 90_061),
    figureText('procs', 23),
    figureText('mem_hits_total', 0.5),
    figureText('mem_bytes', undefined),
  ]).toEqual(['3.1 %', '0.02 %', '201 MB', '1.2 MB/s', '1.2 MB', '0.40', '1 d 1 h', '23', '0.5/s', '-']);
  expect([age(5), age(300), age(11_100), age(1_047_600)]).toEqual(['5 s', '5 min', '3 h 5 min', '12 d 3 h']);
});

test('a sparkline: from zero to the highest, peaks stay, holes are blank', () => {
  expect(sparkline([0, 1, 2, 3, 4, 5, 6, 8], 8)).toBe('▁▂▃▄▅▆▇█');
  expect(sparkline([0, 0, 0, 9, null, null, 0, 0], 4)).toBe('▁█ ▁');
  expect(sparkline([0, 0], 8)).toBe('▁▁');
  expect(sparkline([], 8)).toBe('');
});

test('spans of time', () => {
  expect([parseSpan('30m'), parseSpan('24h'), parseSpan('1y')]).toEqual([
    1_800_000, 86_400_000, 31_536_000_000,
  ]);
  for (const wrong of ['', '5', '24 h', '1s', '-1h', '99y', '1mo'])
    expect(() => parseSpan(wrong)).toThrow('is no span of time');
});

describe('tables fit 80 columns', () => {
  const long = 'a'.repeat(32);
  test('all of the pool: hosts, then vservers; what does not run says so', () => {
    const text = overview([
      host('host1'),
      host(long),
      one('web1'),
      one(long, { host: long }),
      one('db1', { state: 'stopped', ts: undefined, figures: {}, rates: {} }),
    ]);
    expect(widest(text)).toBeLessThanOrEqual(80);
    expect(text).toMatch(/^HOST +CPU +LOAD/);
    expect(text).toMatch(/^web1 +host1 +3\.1 % +201 MB +38 % +23 +230 MB +2\.0 MB\/s +1\.5 kB\/s$/m);
    expect(text).toMatch(/^db1 +host1 +stopped +-/m);
    expect(overview([])).toBe('');
  });
  test('one in full: used, most, limit, hits', () => {
    const text = details(one('web1'), 1_764_086_403_000);
    expect(widest(text)).toBeLessThanOrEqual(80);
    expect(text).toContain('web1 on host1: running, 10.60.10.5; figures of 3 s ago');
    expect(text).toMatch(/^memory +201 MB +- +537 MB +0$/m);
    expect(text).toMatch(/^net +1\.0 kB\/s \/ 500 B\/s/m);
    expect(widest(details(host('host1'), 0))).toBeLessThanOrEqual(80);
    expect(details(one('web1', { ts: undefined, figures: {} }), 0)).toContain(
      'There are no figures of it now',
    );
  });
  test('a time: minimum, average, maximum and a line; what was zero is named', () => {
    const text = past({
      subject: 'web1',
      kind: 'vserver',
      since: 1_764_086_400_000,
      step: 600,
      figures: {
        cpu_pct: { min: 0, avg: 2, max: 9, points: Array.from({ length: 144 }, (_, at) => at % 10) },
        mem_oom_kills_total: { min: 0, avg: 0, max: 0, points: [0] },
        psi_mem_some_pct: { min: 0, avg: 0.1, max: 100, points: [null, 1] },
      },
    });
    expect(widest(text)).toBeLessThanOrEqual(80);
    expect(text).toMatch(/^cpu +0 % +2\.0 % +9\.0 % +[▁-█]{26}$/m);
    expect(text).toContain('All the time 0: out of memory');
    expect(past({ subject: 'a', kind: 'host', since: 0, step: 10, figures: {} })).toContain(
      'Nothing was heard',
    );
  });
  test('top: by what was asked for, only what runs', () => {
    const all = [
      host('host1'),
      one('web1'),
      one('busy', { figures: { ...figures, cpu_pct: 90, mem_bytes: 1 } }),
      one('db1', { ts: undefined }),
    ];
    expect(ranked(all, 'cpu').map(({ name }) => name)).toEqual(['busy', 'web1']);
    expect(ranked(all, 'mem').map(({ name }) => name)).toEqual(['web1', 'busy']);
    const text = topText([...all, one(long, { host: long })], 'cpu', new Date(0));
    expect(widest(text)).toBeLessThanOrEqual(80);
    expect(text).toContain('1 host, 3 vservers, by cpu');
  });
});

test('while the master is away: each vserver once, as its owner says; offline hosts have none that is known to run', () => {
  const state = (name: string, hostName: string, epoch: number) => ({
    ...channels['vserverState']?.example,
    name,
    host: hostName,
    epoch,
  });
  const at = 'vs/1/hosts';
  const messages = new Map<string, unknown>([
    [`${at}/host1/status`, { state: 'online', session: 'a', ts: 1 }],
    [`${at}/host2/status`, { state: 'offline', session: 'b', ts: 1 }],
    [`${at}/host1/vservers/web1/state`, state('web1', 'host1', 3)],
    [`${at}/host2/vservers/web1/state`, state('web1', 'host2', 2)],
    [`${at}/host2/vservers/db1/state`, state('db1', 'host2', 1)],
    [`${at}/host1/vservers/old/state`, state('old', 'host1', 0)],
    [`${at}/host1/vservers/web1/metrics`, figures],
    [`${at}/host1/vservers/gone/state`, null],
  ]);
  const rows = fromTopics(messages, new Map([[`${at}/host1/vservers/web1/metrics`, 7]]), 'vs/1');
  expect(rows.map(({ kind, name, host: of, state: now, ts }) => [kind, name, of, now, ts])).toEqual([
    ['host', 'host1', 'host1', 'online', undefined],
    ['host', 'host2', 'host2', 'offline', undefined],
    ['vserver', 'db1', 'host2', 'unknown', undefined],
    ['vserver', 'web1', 'host1', 'running', 7],
  ]);
});

describe('charts', () => {
  const found = (subject: string, highest: number) => ({
    subject,
    kind: 'vserver' as const,
    since: 1_764_086_400_000,
    step: 600,
    figures: {
      cpu_pct: { min: 0, avg: 1, max: highest, points: [0, null, highest, 1, null] },
      mem_oom_kills_total: { min: 0, avg: 0, max: 0, points: [0, 0, 0] },
      mem_bytes: { min: 5e8, avg: 5e8, max: 5e8, points: [5e8, 5e8] },
    },
  });
  const drawing = chartOf([found('web1', 40), found('a<b&"c"', 90)], 86_400_000);

  test('a panel for each figure that says something, a line for each subject, all within the picture', () => {
    const texts = drawing.shapes.flatMap((shape) => (shape.kind === 'text' ? [shape.text] : []));
    expect(texts).toEqual(expect.arrayContaining(['cpu', 'memory', '100 %', '50 %', '500 MB', 'web1']));
    expect(texts).not.toContain('out of memory (per second)');
    for (const shape of drawing.shapes)
      for (const [x, y] of shape.kind === 'line' ? shape.points : [[shape.x, shape.y] as const])
        expect(x >= 0 && y >= 0 && x <= drawing.width && y <= drawing.height).toBe(true);
    expect([roundUp(0), roundUp(7), roundUp(50), roundUp(51), roundUp(0.03)]).toEqual([1, 10, 50, 100, 0.05]);
  });
  test('as SVG: what people named is text, not markup', () => {
    const svg = svgOf(drawing);
    expect(svg).toContain('a&lt;b&amp;&quot;c&quot;');
    expect(svg).not.toContain('NaN');
    expect(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg" width="800"')).toBe(true);
  });
  test('as PNG: its head, its dots, and the checks of each part', () => {
    const png = pngOf(drawing);
    expect(png.subarray(0, 8).toString('hex')).toBe('89504e470d0a1a0a');
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1600, drawing.height * 2]);
    for (let part = 8; part < png.length;) {
      const length = png.readUInt32BE(part);
      expect(png.readUInt32BE(part + 8 + length)).toBe(crc32(png.subarray(part + 4, part + 8 + length)));
      part += 12 + length;
    }
    const at = png.indexOf('IDAT');
    const rows = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)));
    expect(rows).toHaveLength(1601 * drawing.height * 2);
    expect(new Set(rows).size).toBeGreaterThanOrEqual(5); // white, ink, grey and two lines
  });
  test('nothing but holes draws no line', () => {
    const empty = draw(
      't',
      [{ title: 'cpu', key: 'cpu_pct', lines: [{ name: 'a', points: [null, null] }] }],
      0,
      1000,
    );
    expect(svgOf(empty)).not.toContain('NaN');
  });
});
