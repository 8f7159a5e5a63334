import { writeFileSync } from 'node:fs';
import { keptFigures, titleOf } from '../../shared/contract/figures.ts';
import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { type Drawing, type Panel, draw } from '../../shared/chart/draw.ts';
import { pngOf } from '../../shared/chart/png.ts';
import { svgOf } from '../../shared/chart/svg.ts';
import { age } from './figures.ts';

/** A panel for each figure of which one of the subjects has more than zeros. */
export function chartOf(found: Data<'history.query'>[], spanMs: number): Drawing {
  const panels = keptFigures.flatMap(({ key, counter }): Panel[] => {
    const lines = found.flatMap(({ subject, figures }) => {
      const one = figures[key];
      return one ? [{ name: subject, points: one.points, max: one.max }] : [];
    });
    if (lines.every(({ max }) => max === 0) && key !== 'cpu_pct') return []; // nothing to see
    if (lines.length === 0) return [];
    return [{ title: `${titleOf(key)}${counter ? ' (per second)' : ''}`, key, lines }];
  });
  const since = Math.min(...found.map((one) => one.since));
  const names = found.map(({ subject }) => subject).join(', ');
  const title = `${names.length > 60 ? `${found.length} hosts and vservers` : names}, the last ${age(spanMs / 1000)}`;
  return draw(title, panels, since, since + spanMs);
}

/** Writes the chart; answers a sentence. Throws when there is nothing to show, or the file cannot be written. */
export function writeChart(file: string, found: Data<'history.query'>[], spanMs: number): string {
  const some = found.filter(({ figures }) => Object.keys(figures).length > 0);
  if (some.length === 0)
    throw new VsError('failed', 'Nothing was heard in that time, so there is nothing to plot.');
  const drawing = chartOf(some, spanMs);
  try {
    writeFileSync(file, file.endsWith('.png') ? pngOf(drawing) : svgOf(drawing));
  } catch (error) {
    throw new VsError('failed', `${file} cannot be written: ${(error as Error).message}`, { cause: error });
  }
  return `${file}: ${some
    .map(({ subject }) => subject)
    .join(', ')
    .slice(0, 200)}`;
}
