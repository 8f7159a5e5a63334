import { expect, test } from 'vitest';
import { sessionSvg } from '../../deploy/docs/session-svg.ts';

test('each line is there, at its time, and is text only', () => {
  const svg = sessionSvg([
    { at: 0, text: '$ vs scan', typed: true },
    { at: 2000, text: '<b>&\u001b[31m' },
    { at: 2000, text: '' },
  ]);
  expect(svg.match(/<text /g)).toHaveLength(2);
  expect(svg).toContain('>$ vs scan</text>');
  expect(svg).toContain('>&lt;b&gt;&amp;?[31m</text>');
  // 2 s of 10 s: the last line and 8 s of rest
  expect(svg).toContain('@keyframes a20{0%,19.99%{opacity:0}20.00%,100%{opacity:1}}');
  expect(svg).toMatch(/animation:10\.00s/);
});

test('a line that is longer than the terminal goes on in the next one', () => {
  const svg = sessionSvg([{ at: 0, text: `${'x'.repeat(80)}yy` }], 80);
  expect(svg).toContain(`>${'x'.repeat(80)}</text>`);
  expect(svg).toContain('>yy</text>');
});
