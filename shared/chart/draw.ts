import { figureText } from '../figure-text.ts';

/** What a chart is made of, in points of an area of `width` to `height`; colours as #rrggbb. */
export type Shape =
  | { kind: 'line'; points: [number, number][]; colour: string; width: number }
  | { kind: 'text'; x: number; y: number; text: string; anchor: 'start' | 'middle' | 'end'; colour: string };
export interface Drawing {
  width: number;
  height: number;
  shapes: Shape[];
}
/** One figure: a line for each subject. */
export interface Panel {
  title: string;
  key: string;
  lines: { name: string; points: (number | null)[] }[];
}

export const colours = [
  '#1a73e8',
  '#e8710a',
  '#12a150',
  '#a142f4',
  '#d93025',
  '#129eaf',
  '#7c6f00',
  '#c2185b',
];
const [WIDTH, LEFT, RIGHT, TOP, PANEL, GAP] = [800, 80, 20, 48, 110, 34] as const;
const [INK, GREY] = ['#202124', '#c8ccd0'] as const;
const two = (value: number) => String(value).padStart(2, '0');

/** The next number of 1, 2, 5 times a power of ten. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((times) => times * power).find((one) => one >= value * (1 - 1e-9)) ?? 10 * power;
}

/** Local time, with the date when the chart spans more than a day. */
function timeText(ms: number, span: number): string {
  const date = new Date(ms);
  const day = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  if (span > 60 * 86_400_000) return `${date.getFullYear()}-${day}`;
  return `${span > 86_400_000 ? `${day} ` : ''}${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** Runs of points without a hole; one alone becomes a dash that can be seen. */
function runsOf(points: (number | null)[], place: (at: number, value: number) => [number, number]) {
  const runs: [number, number][][] = [];
  let open: [number, number][] | undefined;
  for (const [at, value] of points.entries()) {
    if (value === null) open = undefined;
    else {
      if (!open) runs.push((open = []));
      open.push(place(at, value));
    }
  }
  return runs.map((run) =>
    run.length > 1
      ? run
      : run.flatMap(([x, y]): [number, number][] => [
          [x - 1, y],
          [x + 1, y],
        ]),
  );
}

/** Figures over time, one below the other, from zero up; all of them of the same span (ms). `width`: of it all, in points. */
export function draw(
  title: string,
  panels: Panel[],
  since: number,
  until: number,
  width: number = WIDTH,
): Drawing {
  const shapes: Shape[] = [];
  const span = until - since;
  const wide = width - LEFT - RIGHT;
  const text = (
    x: number,
    y: number,
    words: string,
    anchor: 'start' | 'middle' | 'end',
    colour: string = INK,
  ) => shapes.push({ kind: 'text', x, y, text: words, anchor, colour });
  const line = (points: [number, number][], colour: string, thick = 1) =>
    shapes.push({ kind: 'line', points, colour, width: thick });
  text(LEFT, 18, title, 'start');
  const names = panels[0]?.lines.map(({ name }) => name) ?? [];
  let at = LEFT;
  for (const [index, name] of (names.length > 1 ? names : []).entries()) {
    if (at + name.length * 7 > width - RIGHT) break; // the rest has no room
    text(at, 34, name, 'start', colours[index % colours.length]);
    at += name.length * 7 + 14;
  }
  for (const [index, panel] of panels.entries()) {
    const top = TOP + index * (PANEL + GAP);
    const base = top + PANEL;
    const highest = panel.lines
      .flatMap(({ points }) => points)
      .reduce<number>((a, b) => Math.max(a, b ?? 0), 0);
    const scale = roundUp(highest);
    for (const share of [0, 0.5, 1]) {
      const y = base - share * (PANEL - 14);
      line(
        [
          [LEFT, y],
          [width - RIGHT, y],
        ],
        GREY,
      );
      text(LEFT - 6, y + 4, figureText(panel.key, scale * share), 'end');
    }
    text(LEFT, top + 6, panel.title, 'start');
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      const x = LEFT + share * wide;
      line(
        [
          [x, base],
          [x, base + 4],
        ],
        GREY,
      );
      const anchor = share === 0 ? 'start' : share === 1 ? 'end' : 'middle';
      text(x, base + 16, timeText(since + share * span, span), anchor, '#5f6368');
    }
    for (const [number, { points }] of panel.lines.entries()) {
      const place = (one: number, value: number): [number, number] => [
        LEFT + (wide * (one + 0.5)) / points.length,
        base - (value / scale) * (PANEL - 14),
      ];
      for (const run of runsOf(points, place)) line(run, colours[number % colours.length] ?? INK, 1.5);
    }
  }
  return { width, height: TOP + panels.length * (PANEL + GAP) + 4, shapes };
}
